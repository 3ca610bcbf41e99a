//! Any code with any registers, stepped; and the same guest unstepped, which ends alike. The interpreter runs both, and
//! KVM on a machine that has it.

use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use guest_abi::{layout::PAGE_SIZE, mode::CpuMode};
use guestlab::{
    cpu::{
        Cpu, CpuState, Engine, Exit, MemoryPlan, Stepped, Until,
        identity::{FOUR_LEVELS_SIZE, four_levels, one_large_page},
    },
    debug::step::Before,
};

use super::engines::{self, Kicks};

/// The most steps.
const STEPS: usize = 64;

/// The most bytes of code.
const MOST_CODE: usize = 256;

/// The time that a guest has.
const TIME: Duration = Duration::from_secs(5);

/// The trap flag, and the flags of arithmetic, which a guest may begin with.
const TRAP_FLAG: u64 = 1 << 8;
const FLAGS: u64 = 0xDD5;

/// The registers that a guest begins with.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Start {
    mode: u8,
    flags: u16,
    general: [u16; 8],
}

/// A guest of one page, with page tables behind it.
struct Guest {
    cpu: Box<dyn Cpu>,
    begun: Instant,
    _kicks: Kicks,
}

/// Steps a guest up to its first exit, and compares it with the same guest unstepped.
pub fn run(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(start) = Start::arbitrary(&mut data) else { return };
    let code = data.take_rest();
    let code = &code[..code.len().min(MOST_CODE)];
    for engine in engines::all() {
        compare(&*engine, start, code);
    }
}

/// Runs a guest on an engine, with steps and without.
fn compare(engine: &dyn Engine, start: Start, code: &[u8]) -> Option<()> {
    let mut stepped = Guest::new(engine, start, code)?;
    let (exit, before) = stepped.step()?;
    let mut free = Guest::new(engine, start, code)?;
    let same = free.run()?;
    let name = engine.name();
    let [stepped, free] = [stepped.state(), free.state()];
    assert_eq!((exit, stepped), (same, free), "stepped and unstepped on {name}, the last of {before:#x?}");
    Some(())
}

impl Guest {
    /// Returns a guest with this code at 0. `None` if the engine does not have its mode.
    fn new(engine: &dyn Engine, start: Start, code: &[u8]) -> Option<Self> {
        let mode = CpuMode::ALL[usize::from(start.mode) % CpuMode::ALL.len()];
        let tables = match mode {
            CpuMode::Real | CpuMode::Protected => Vec::new(),
            CpuMode::Paged => one_large_page(),
            CpuMode::Long => four_levels(PAGE_SIZE),
        };
        let mut cpu = engine.create(&MemoryPlan::below(u64::from(PAGE_SIZE + FOUR_LEVELS_SIZE))).ok()?;
        for (address, bytes) in [(0, code), (PAGE_SIZE.into(), &tables)] {
            cpu.memory_mut().write(address, bytes).expect("memory");
        }
        let mut state = CpuState::flat(mode, 0, PAGE_SIZE, PAGE_SIZE);
        for (register, value) in state.general.iter_mut().zip(start.general) {
            *register = value.into();
        }
        state.flags = u64::from(start.flags) & FLAGS | 2;
        cpu.set_state(&state).ok()?;
        let kicks = Kicks::every(TIME, cpu.kick());
        Some(Self { cpu, begun: Instant::now(), _kicks: kicks })
    }

    /// Steps to the first exit. Returns the exit and the addresses of the instructions; `None` if there is no exit in
    /// time, or the guest did something that cannot be compared.
    fn step(&mut self) -> Option<(Exit, Vec<u64>)> {
        let (mut is_plain, mut all) = (true, Vec::new());
        for _ in 0..STEPS {
            let exit = self.cpu.run(Until::Step).ok()?;
            if exit == Exit::Interrupted && self.is_late() {
                return None;
            }
            let executed: Vec<Before> = match self.cpu.stepped() {
                Stepped::Nothing => Vec::new(),
                Stepped::Delivery(_) => return None,
                Stepped::Instructions(executed) => executed.into_iter().map(Before::from).collect(),
            };
            let after = self.cpu.registers().ok()?;
            all.extend(executed.iter().map(Before::address));
            let is_end = !matches!(exit, Exit::Debug { .. } | Exit::Interrupted);
            is_plain &= executed.iter().all(is_comparable);
            is_plain &= is_end || executed.last().is_none_or(|last| goes_on(last, &after));
            if is_end {
                let is_its_own = matches!(exit, Exit::Halt { .. } | Exit::Out { .. } | Exit::In { .. });
                return (is_plain && is_its_own).then_some((exit, all));
            }
        }
        // A run that is interrupted at once ends the steps, wherever the guest is.
        self.cpu.kick().kick();
        self.cpu.run(Until::Exit).ok()?;
        None
    }

    /// Runs to the first exit. Returns `None` if there is none in time.
    fn run(&mut self) -> Option<Exit> {
        loop {
            match self.cpu.run(Until::Exit).ok()? {
                Exit::Interrupted if self.is_late() => return None,
                Exit::Interrupted => {}
                exit => return Some(exit),
            }
        }
    }

    fn is_late(&self) -> bool {
        self.begun.elapsed() >= TIME
    }

    /// Returns the registers and the page, once the last instruction is complete.
    fn state(&mut self) -> Option<(CpuState, Vec<u8>)> {
        self.cpu.complete().ok()?;
        let mut page = vec![0; PAGE_SIZE as usize];
        self.cpu.memory().read(0, &mut page).ok()?;
        Some((self.cpu.registers().ok()?, page))
    }
}

/// Returns true if an instruction does the same each time, and has nothing to do with debug exceptions.
fn is_comparable(before: &Before) -> bool {
    let text = format!("{:?}", before.instruction.mnemonic());
    let varies = ["Rd", "Wrmsr", "Xrstor", "Cpuid", "Xgetbv"].iter().any(|start| text.starts_with(start));
    let instruction = format!("{}", before.instruction);
    !varies && !instruction.contains("dr") && before.registers.flags & TRAP_FLAG == 0
}

/// Returns true if the guest is at an instruction that the last one leads to, so that there was no exception.
fn goes_on(last: &Before, after: &CpuState) -> bool {
    let next = last.registers.at(last.instruction.next_ip()).instruction();
    let target = last.registers.at(last.instruction.near_branch_target()).instruction();
    let at = after.instruction();
    at == next || (last.is_repeated() && at == last.address()) || (at == target && target != 0)
}
