//! The diagnosis of a guest's end: a better name than the machine has for it, from registers and memory.

use guest_abi::{block::Trap, mode::CpuMode};
use guestlab_cpu::{
    CpuState, DELIVERY, Direction, EMULATION, KVM, MAX_INSTRUCTION,
    instruction::{self, Access, Code, CpuidFeature, Instruction, Mnemonic, Register},
};
use guestlab_vmm::{
    Crash, Expiry, Halt, Interruption, Machine, MemoryKind, TrapReport, TripleFault, Unemulated, Unhandled,
    pc::device_at,
    spot::{self, Spot},
};
use x86_64::registers::control::Cr0Flags;

use super::crash_report::{CrashDump, ImageInfo};

/// A guest's end with a better name.
#[derive(Debug)]
pub struct Diagnosis {
    /// The end.
    pub halt: Halt,
    /// The registers of the instruction of the crash, if the CPU has executed more since then.
    pub culprit: Option<CpuState>,
}

impl Diagnosis {
    /// Returns the diagnosis of a machine that has stopped. `lacks_paging` is true if the image may turn on 32-bit paging
    /// and the engine does not have it.
    pub fn of(machine: &mut Machine, halt: Halt, lacks_paging: bool) -> Self {
        let none = |halt| Self { halt, culprit: None };
        let crashed = |(crash, culprit)| Self { halt: Halt::Crash(crash), culprit };
        match halt {
            // kvm-amd can loop forever, trying to push an exception's frame onto the guard page.
            Halt::Expired(expiry) if expiry != Expiry::Process => match stack_overflow(machine) {
                Some(crash) => {
                    machine.mark_crashed();
                    none(Halt::Crash(crash))
                }
                None => none(halt),
            },
            Halt::Interruption(interruption) => {
                crashed(of_interruption(machine, *interruption, lacks_paging))
            }
            Halt::Crash(crash) => crashed(of_crash(machine, crash, lacks_paging)),
            halt => none(halt),
        }
    }
}

/// Returns the state of a machine whose guest has ended, with a trap or not.
pub fn crash_dump(
    machine: &mut Machine,
    image: &ImageInfo,
    trap: Option<&Trap>,
    culprit: Option<&CpuState>,
) -> CrashDump {
    // After a shutdown the registers may be those after reset, which do not help.
    let now = machine.cpu_mut().registers().ok();
    let is_lost = |registers: &CpuState| {
        registers.is_reset() || machine.vectors().is_some_and(|vectors| vectors.have(registers))
    };
    let now = now.filter(|registers| !is_lost(registers));
    let registers = match (culprit, trap) {
        (Some(culprit), _) => Some(culprit.clone()),
        (None, Some(trap)) => now.map(|registers| registers.interrupted(trap)),
        (None, None) => now,
    };
    let foreign = registers.clone().filter(|_| machine.is_foreign());
    let read = |address, bytes: &mut [u8]| match &foreign {
        Some(registers) => machine.read_linear(registers, address, bytes) == bytes.len(),
        // guest-rt maps each address to itself, and such a guest may have damaged its page tables.
        None => machine.cpu().memory().read(address, bytes).is_ok(),
    };
    let dump = CrashDump::take(image, registers, machine.history(), read);
    let dump = if culprit.is_some() { dump.of_this_instruction() } else { dump };
    dump.with_timer(machine.is_timer_due())
}

/// Returns the crash for a stack overflow, if there is no room for the CPU's push at an interrupt.
fn stack_overflow(machine: &mut Machine) -> Option<Crash> {
    /// Flags, CS, EIP and an error code.
    const PUSHED: u64 = 16;
    if machine.is_foreign() {
        return None;
    }
    let stack_pointer = machine.cpu_mut().registers().ok()?.stack();
    let kind = machine.layout().kind(stack_pointer.wrapping_sub(PUSHED));
    (kind == MemoryKind::StackGuard).then_some(Crash::PushOffStack { stack_pointer })
}

/// Returns the crash for an exception or a software interrupt without a handler.
fn of_interruption(
    machine: &Machine,
    interruption: Interruption,
    lacks_paging: bool,
) -> (Crash, Option<CpuState>) {
    let Interruption { trap, is_asked_for, registers } = interruption;
    let look = Look::at(machine, &registers);
    let crash = beyond(machine, &registers, &look.spot).unwrap_or_else(|| {
        let lacks_paging = lacks_paging && look.turns_on_paging(&registers);
        unhandled(look.spot, trap, is_asked_for, lacks_paging)
    });
    (crash, Some(registers))
}

/// Returns a crash by its better name, if registers give one.
fn of_crash(machine: &mut Machine, crash: Crash, lacks_paging: bool) -> (Crash, Option<CpuState>) {
    if let (&Crash::UnknownPort { port, width, direction }, true) = (&crash, machine.is_foreign()) {
        let named = device_at(port).map(|device| Crash::NoDevice { port, width, direction, device });
        return (named.unwrap_or(crash), None);
    }
    if !matches!(crash, Crash::TripleFault | Crash::Emulation { .. }) {
        return (crash, None);
    }
    // A push onto the guard page is a triple fault on kvm_pvm. On others it is an internal error: the emulator of MMIO
    // instructions does not know of pushes that no instruction makes.
    if let Some(overflow) = stack_overflow(machine) {
        return (overflow, None);
    }
    let last = machine.cpu_mut().registers().ok().filter(|registers| !registers.is_reset());
    let registers = match (machine.vectors(), last) {
        (Some(vectors), Some(last)) => vectors.traced_back(machine.cpu().memory(), last),
        (_, last) => last,
    };
    let look = registers.as_ref().map(|registers| Look::at(machine, registers));
    let better = match (&crash, &registers, look) {
        (Crash::TripleFault | Crash::Emulation { suberror: DELIVERY }, _, look) if machine.is_foreign() => {
            let bad_stack = registers.as_ref().and_then(|registers| bad_stack(machine, registers));
            let turns_on = registers.as_ref().zip(look.as_ref());
            let lacks_paging =
                lacks_paging && turns_on.is_some_and(|(registers, look)| look.turns_on_paging(registers));
            let spot = look.map(|look| look.spot);
            Crash::ForeignTripleFault(TripleFault { spot, bad_stack, lacks_paging }.into())
        }
        (Crash::Emulation { suberror: EMULATION }, Some(registers), Some(look)) => {
            unemulated(machine, look, registers)
        }
        _ => return (crash, None),
    };
    (better, registers)
}

/// Returns the crash for an instruction that the engine had to emulate and cannot.
fn unemulated(machine: &Machine, look: Look, registers: &CpuState) -> Crash {
    if let Some(crash) = beyond(machine, registers, &look.spot) {
        return crash;
    }
    let has_host_table = machine.vectors().is_some_and(|vectors| vectors.are_in_force(registers));
    let asks_for = look.spot.instruction.as_ref().and_then(|instruction| instruction.asks_for);
    if let Some(vector) = asks_for.filter(|_| has_host_table) {
        let (ip, general) = (registers.ip, registers.general);
        let trap = Trap { vector: vector.into(), ip, general, ..Trap::default() };
        return unhandled(look.spot, trap, true, false);
    }
    let is_outside = |access: &Access| {
        machine.kind_at(registers, access.address).is_some_and(|(_, kind)| kind != MemoryKind::Memory)
    };
    let reach = look.accesses(registers).into_iter().find(is_outside);
    let reach =
        reach.map(|access| (if access.writes { Direction::Out } else { Direction::In }, access.address));
    let spot = look.spot;
    let bad_stack = bad_stack(machine, registers).filter(|_| reach.is_none() && spot.extension().is_none());
    if bad_stack.is_some() && machine.is_foreign() {
        // With exceptions of the hardware, KVM is left with a push that no instruction makes.
        let spot = Some(spot);
        return Crash::ForeignTripleFault(TripleFault { spot, bad_stack, lacks_paging: false }.into());
    }
    Crash::Unemulated(Unemulated { by_kvm: machine.engine() == KVM, spot, reach }.into())
}

/// Returns the crash for an exception or a software interrupt without a handler.
fn unhandled(spot: Spot, trap: Trap, is_asked_for: bool, lacks_paging: bool) -> Crash {
    // A vector beyond the table is a protection fault whose code names it (SDM volume 3A, 6.13).
    const OF_THE_TABLE: u64 = 1 << 1;
    let asks_for = spot.instruction.as_ref().and_then(|instruction| instruction.asks_for);
    let beyond = asks_for.filter(|_| trap.has_error_code == 1 && trap.error_code & OF_THE_TABLE != 0);
    let trap = match beyond {
        Some(vector) => Trap { vector: vector.into(), has_error_code: 0, error_code: 0, ..trap },
        None => trap,
    };
    let report = TrapReport::new(trap, false);
    let is_asked_for = is_asked_for || beyond.is_some();
    Crash::Unhandled(Unhandled { spot, report, is_asked_for, lacks_paging }.into())
}

/// Returns the crash that an instruction is beyond the guest's memory, if it is. The host's pages behind the memory are
/// not the guest's.
fn beyond(machine: &Machine, registers: &CpuState, spot: &Spot) -> Option<Crash> {
    let (address, kind) = machine.kind_at(registers, spot.address)?;
    match kind {
        MemoryKind::Memory if address < machine.layout().size().into() => None,
        MemoryKind::Memory => Some(Crash::PastEnd { address }),
        place => Some(Crash::BadJump { address, place }),
    }
}

/// Returns the linear address of the stack, if the CPU cannot push there.
fn bad_stack(machine: &Machine, registers: &CpuState) -> Option<u64> {
    let stack = registers.stack();
    let below = machine.kind_at(registers, registers.wrapped(stack.wrapping_sub(1)));
    (!below.is_some_and(|(_, kind)| kind == MemoryKind::Memory)).then_some(stack)
}

/// An instruction of a stopped guest, decoded.
struct Look {
    spot: Spot,
    instruction: Option<Instruction>,
}

impl Look {
    /// Decodes the next instruction of a CPU with these registers.
    fn at(machine: &Machine, registers: &CpuState) -> Self {
        let mut code = [0; MAX_INSTRUCTION];
        let there = machine.read_linear(registers, registers.instruction(), &mut code);
        Self::of(registers, &code[..there])
    }

    fn of(registers: &CpuState, code: &[u8]) -> Self {
        let instruction = instruction::decode(registers.bits(), code, registers.ip);
        let instruction = Some(instruction).filter(|instruction| !instruction.is_invalid());
        let mode = registers.mode();
        let spot = Spot {
            address: registers.instruction(),
            pointer: (registers.code_segment().1, registers.ip),
            mode,
            instruction: instruction.as_ref().map(|instruction| in_words(instruction, mode)),
        };
        Self { spot, instruction }
    }

    /// Returns true if the instruction turns on paging with these registers, or 32-bit paging is on already.
    fn turns_on_paging(&self, registers: &CpuState) -> bool {
        let paging = Cr0Flags::PAGING.bits();
        let loads = |it: &Instruction| {
            (it.code(), it.op0_register()) == (Code::Mov_cr_r32, Register::CR0)
                && instruction::value(registers, it.op1_register()).is_some_and(|value| value & paging != 0)
        };
        self.spot.mode == CpuMode::Paged || self.instruction.as_ref().is_some_and(loads)
    }

    /// Returns the instruction's accesses to memory, with these registers.
    fn accesses(&self, registers: &CpuState) -> Vec<Access> {
        self.instruction.map_or(Vec::new(), |it| instruction::accesses(&it, registers))
    }
}

fn in_words(it: &Instruction, mode: CpuMode) -> spot::Instruction {
    let extension = extension(it);
    spot::Instruction {
        text: instruction::text(it),
        len: it.len(),
        asks_for: asks_for(it),
        likely_exception: likely_exception(it, extension.is_some(), mode),
        extension,
    }
}

/// Returns the name of an instruction's extension, if it belongs to one.
fn extension(it: &Instruction) -> Option<String> {
    use CpuidFeature as F;
    match it.cpuid_features().first().copied()? {
        F::FPU | F::FPU287 | F::FPU287XL_ONLY | F::FPU387 | F::FPU387SL_ONLY => Some("x87".into()),
        F::INTEL8086
        | F::INTEL8086_ONLY
        | F::INTEL186
        | F::INTEL286
        | F::INTEL286_ONLY
        | F::INTEL386
        | F::INTEL386_ONLY
        | F::INTEL386_A0_ONLY
        | F::INTEL486
        | F::INTEL486_A_ONLY
        | F::X64
        | F::CPUID
        | F::MSR
        | F::TSC => None,
        other => Some(format!("{other:?}").trim_end_matches("_ONLY").replace('_', ".")),
    }
}

/// Returns the vector that an instruction asks for, if it is `int`, `int3` or `int1`.
fn asks_for(it: &Instruction) -> Option<u8> {
    match it.mnemonic() {
        Mnemonic::Int => Some(it.immediate8()),
        Mnemonic::Int1 => Some(1),
        Mnemonic::Int3 => Some(3),
        _ => None,
    }
}

/// Returns the exception that an instruction most likely raised.
fn likely_exception(it: &Instruction, is_extended: bool, mode: CpuMode) -> &'static str {
    use Mnemonic as M;
    match it.mnemonic() {
        M::Div | M::Idiv | M::Aam => "divide error (#DE)",
        M::Ud0 | M::Ud1 | M::Ud2 => "invalid opcode (#UD)",
        M::Int3 => "breakpoint (#BP)",
        M::Into => "overflow (#OF)",
        M::Bound => "BOUND range exceeded (#BR)",
        _ if is_extended => "invalid opcode (#UD) or device not available (#NM)",
        _ if matches!(mode, CpuMode::Paged | CpuMode::Long) => "page fault (#PF) or general protection (#GP)",
        _ => "general protection (#GP)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(mode: CpuMode, code: &[u8]) -> Look {
        Look::of(&CpuState::flat(mode, 0x7C10, 0, 0), code)
    }

    #[test]
    fn an_extension_has_the_name_that_people_know() {
        for (code, extension) in [
            (&[0xD9, 0xEE][..], Some("x87")),
            (&[0x0F, 0x58, 0xC1], Some("SSE")),
            (&[0x66, 0x0F, 0xEF, 0xC0], Some("SSE2")),
            (&[0xF2, 0x0F, 0x38, 0xF0, 0xC0], Some("SSE4.2")),
            (&[0x0F, 0x77], Some("MMX")),
            (&[0x0F, 0xC7, 0xF0], Some("RDRAND")),
            (&[0xF3, 0x0F, 0xB8, 0xC0], Some("POPCNT")),
            // int3, bound, iretd, mov cr0, rdmsr, cpuid
            (&[0xCC], None),
            (&[0x62, 0x00], None),
            (&[0xCF], None),
            (&[0x0F, 0x22, 0xC0], None),
            (&[0x0F, 0x32], None),
            (&[0x0F, 0xA2], None),
        ] {
            assert_eq!(look(CpuMode::Protected, code).spot.extension(), extension, "{code:x?}");
        }
    }

    #[test]
    fn paging_is_turned_on_by_a_value_that_has_its_bit() {
        let with = |eax| {
            let mut registers = CpuState::flat(CpuMode::Protected, 0, 0, 0);
            registers.general[0] = eax;
            look(CpuMode::Protected, &[0x0F, 0x22, 0xC0]).turns_on_paging(&registers)
        };
        assert!(with(0x8000_0011) && !with(0x11));
        let nop = |mode| look(mode, &[0x90]).turns_on_paging(&CpuState::reset());
        assert!(!nop(CpuMode::Protected) && nop(CpuMode::Paged));
    }

    #[test]
    fn instructions_that_ask_for_a_vector_are_known() {
        let asks_for =
            |code: &[u8]| look(CpuMode::Protected, code).spot.instruction.and_then(|it| it.asks_for);
        assert_eq!(
            [asks_for(&[0xCD, 0x80]), asks_for(&[0xCC]), asks_for(&[0xF1])],
            [Some(0x80), Some(3), Some(1)]
        );
        assert_eq!([asks_for(&[0x90]), asks_for(&[])], [None, None]);
    }
}
