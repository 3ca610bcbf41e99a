//! Breakpoints and watchpoints, of a debugger and of the guest (Intel SDM volume 3B, chapter 17).

use guest_abi::mode::CpuMode;
use guestlab_cpu::{
    Breakpoint, BreakpointKind, Cpu, CpuState, Exit, MemoryPlan, Segment, Until,
    state::{reg, seg},
};
use guestlab_soft::SoftCpu;

const CODE: u32 = 0x1000;
const HANDLER: u32 = 0x2000;
const STACK: u32 = 0x3000;
const DATA: u64 = 0x4000;
const IDT: u64 = 0x5000;
const GDT: u64 = 0x6000;

const HALT: Exit = Exit::Halt { interrupts: false };

/// Returns a CPU in protected mode at `code`, with a handler for #DB that halts.
fn cpu(code: &[u8]) -> SoftCpu {
    let mut state = CpuState::flat(CpuMode::Protected, CODE, STACK, 0);
    state.general[reg::RDI] = DATA;
    state.general[reg::RSI] = DATA + 0x100;
    (state.idt.base, state.idt.limit) = (IDT, 0x7F);
    (state.gdt.base, state.gdt.limit) = (GDT, 0x17);
    let mut cpu = SoftCpu::new(&MemoryPlan::below(0x8000), &state);
    let gate = u64::from(HANDLER & 0xFFFF) | 8 << 16 | 0x8E00 << 32;
    for (address, bytes) in [
        (IDT + 8, &gate.to_le_bytes()[..]),
        (GDT + 8, &0x00CF_9B00_0000_FFFF_u64.to_le_bytes()),
        (GDT + 16, &0x00CF_9300_0000_FFFF_u64.to_le_bytes()),
        (CODE.into(), code),
        (HANDLER.into(), &[0xF4, 0xCF]),
    ] {
        cpu.memory_mut().write(address, bytes).unwrap();
    }
    cpu
}

fn run(cpu: &mut SoftCpu) -> (Exit, u64) {
    let exit = cpu.run(Until::Exit).unwrap();
    (exit, cpu.state().unwrap().ip)
}

fn points(points: u64) -> Exit {
    Exit::Debug { points }
}

#[test]
fn any_number_of_points_can_be_set() {
    // `stosb` 3 times, `hlt`.
    let mut cpu = cpu(&[0xAA, 0xAA, 0xAA, 0xF4]);
    let mut all: Vec<_> =
        (0..60_u64).map(|at| Breakpoint { address: 0x7000 + at, kind: BreakpointKind::Execute }).collect();
    all.push(Breakpoint { address: DATA, kind: BreakpointKind::Write { len: 1 } });
    all.push(Breakpoint { address: u64::from(CODE) + 2, kind: BreakpointKind::Execute });
    all.extend(
        (0..40).map(|at| Breakpoint { address: DATA + 2 + at, kind: BreakpointKind::Access { len: 1 } }),
    );
    cpu.set_breakpoints(&all).unwrap();
    assert_eq!(run(&mut cpu), (points(1 << 60), u64::from(CODE) + 1));
    assert_eq!(run(&mut cpu), (points(1 << 61), u64::from(CODE) + 2));
    assert_eq!(run(&mut cpu), (points(1 << 62), u64::from(CODE) + 3));
    assert_eq!(run(&mut cpu), (HALT, u64::from(CODE) + 4));
}

#[test]
fn a_watchpoint_is_met_by_each_access_that_touches_it() {
    // Each writes or reads some of DATA + 4 to DATA + 7.
    for (code, writes) in [
        (&[0xC7, 0x47, 0x02, 1, 2, 3, 4, 0xF4][..], true), // mov dword [edi + 2], imm
        (&[0x66, 0x89, 0x47, 0x06, 0xF4], true),           // mov [edi + 6], ax
        (&[0x83, 0x47, 0x04, 1, 0xF4], true),              // add dword [edi + 4], 1
        (&[0x8D, 0x67, 0x08, 0x50, 0xF4], true),           // lea esp, [edi + 8]; push eax
        (&[0x8A, 0x47, 0x07, 0xF4], false),                // mov al, [edi + 7]
        (&[0x3B, 0x47, 0x01, 0xF4], false),                // cmp eax, [edi + 1]
    ] {
        for (kind, is_met) in
            [(BreakpointKind::Access { len: 4 }, true), (BreakpointKind::Write { len: 4 }, writes)]
        {
            let mut cpu = cpu(code);
            cpu.set_breakpoints(&[Breakpoint { address: DATA + 4, kind }]).unwrap();
            let (exit, ip) = run(&mut cpu);
            let end = u64::from(CODE) + code.len() as u64;
            assert_eq!(
                (exit, ip),
                if is_met { (points(1), end - 1) } else { (HALT, end) },
                "{code:x?} {kind:?}"
            );
        }
    }
}

#[test]
fn a_watchpoint_stops_between_two_repetitions() {
    // `rep stosb`, `hlt`.
    let mut cpu = cpu(&[0xF3, 0xAA, 0xF4]);
    let mut state = cpu.state().unwrap();
    state.general[reg::RCX] = 10;
    cpu.set_state(&state).unwrap();
    cpu.set_breakpoints(&[Breakpoint { address: DATA + 3, kind: BreakpointKind::Write { len: 1 } }]).unwrap();
    assert_eq!(run(&mut cpu), (points(1), CODE.into()));
    assert_eq!((cpu.state().unwrap().general[reg::RCX], cpu.instructions()), (6, Some(4)));
    assert_eq!(run(&mut cpu), (HALT, u64::from(CODE) + 3));
    assert_eq!(cpu.instructions(), Some(11));
}

#[test]
fn an_instruction_that_faults_has_met_nothing() {
    // `movsb` to where there is no segment left: the read is fine, the write is not.
    let mut cpu = cpu(&[0xA4, 0xF4]);
    let mut state = cpu.state().unwrap();
    state.segments[seg::ES] = Segment { limit: 0xFF, ..state.segments[seg::ES] };
    state.idt.limit = 0;
    cpu.set_state(&state).unwrap();
    let kind = BreakpointKind::Access { len: 1 };
    cpu.set_breakpoints(&[Breakpoint { address: DATA + 0x100, kind }]).unwrap();
    assert_eq!(run(&mut cpu), (Exit::Shutdown, CODE.into()));
}

/// Sets DR0 and DR7 of the guest.
fn set_registers(cpu: &mut SoftCpu, address: u64, control: u64) {
    let mut state = cpu.state().unwrap();
    (state.debug[0], state.debug[7]) = (address, 0x400 | control);
    cpu.set_state(&state).unwrap();
}

/// Returns the flags and the instruction pointer that the handler was given.
fn frame(cpu: &SoftCpu) -> (u32, u32) {
    let mut bytes = [[0; 4]; 3];
    for (index, word) in bytes.iter_mut().enumerate() {
        cpu.memory().read(u64::from(STACK) - 12 + 4 * index as u64, word).unwrap();
    }
    (u32::from_le_bytes(bytes[2]), u32::from_le_bytes(bytes[0]))
}

const RF: u32 = 1 << 16;

#[test]
fn the_guests_own_breakpoint_is_a_fault_that_rf_passes() {
    // `nop`, `nop`, `hlt`.
    let mut cpu = cpu(&[0x90, 0x90, 0xF4]);
    set_registers(&mut cpu, u64::from(CODE) + 1, 0b1);
    assert_eq!(run(&mut cpu), (HALT, u64::from(HANDLER) + 1));
    // RF is the handler's to set, unlike after other faults.
    assert_eq!(frame(&cpu), (2, CODE + 1));
    assert_eq!(cpu.state().unwrap().debug[6], 0xFFFF_0FF1);
    cpu.memory_mut().write(u64::from(STACK) - 4, &(RF | 2).to_le_bytes()).unwrap();
    // `iret` takes RF from the frame: the instruction is executed, and then RF is clear.
    assert_eq!(run(&mut cpu), (HALT, u64::from(CODE) + 3));
    assert_eq!(cpu.state().unwrap().flags, 2);
}

#[test]
fn a_fault_sets_rf_in_its_frame() {
    // `ud2`; the gate of #UD is that of #DB.
    let mut cpu = cpu(&[0x0F, 0x0B]);
    let mut gate = [0; 8];
    cpu.memory().read(IDT + 8, &mut gate).unwrap();
    cpu.memory_mut().write(IDT + 6 * 8, &gate).unwrap();
    assert_eq!(run(&mut cpu), (HALT, u64::from(HANDLER) + 1));
    assert_eq!(frame(&cpu), (RF | 2, CODE));
}

#[test]
fn the_guests_own_watchpoint_is_a_trap() {
    // `nop`, `stosd`, `hlt`.
    let mut cpu = cpu(&[0x90, 0xAB, 0xF4]);
    // DR0: 4 bytes, written.
    set_registers(&mut cpu, DATA, 0b1 | 0b1101 << 16);
    assert_eq!(run(&mut cpu), (HALT, u64::from(HANDLER) + 1));
    assert_eq!(frame(&cpu), (2, CODE + 2));
    assert_eq!(cpu.state().unwrap().debug[6], 0xFFFF_0FF1);
    assert_eq!(run(&mut cpu), (HALT, u64::from(CODE) + 3));
}

#[test]
fn general_detect_protects_the_debug_registers() {
    // `mov eax, dr0`, `hlt`.
    let mut cpu = cpu(&[0x0F, 0x21, 0xC0, 0xF4]);
    set_registers(&mut cpu, 0x1234, 1 << 13);
    assert_eq!(run(&mut cpu), (HALT, u64::from(HANDLER) + 1));
    let state = cpu.state().unwrap();
    assert_eq!((frame(&cpu).1, state.debug[6], state.debug[7]), (CODE, 0xFFFF_2FF0, 0x400));
    assert_eq!(run(&mut cpu), (HALT, u64::from(CODE) + 4));
    assert_eq!(cpu.state().unwrap().general[reg::RAX], 0x1234);
}

#[test]
fn a_single_step_comes_with_the_watchpoints_of_its_instruction() {
    // `popf`, `stosb`, `hlt`.
    let mut cpu = cpu(&[0x9D, 0xAA, 0xF4]);
    cpu.memory_mut().write(STACK.into(), &0x102_u32.to_le_bytes()).unwrap();
    set_registers(&mut cpu, DATA, 0b1 | 0b1 << 16);
    assert_eq!(run(&mut cpu), (HALT, u64::from(HANDLER) + 1));
    assert_eq!(cpu.state().unwrap().debug[6], 0xFFFF_4FF1);
}
