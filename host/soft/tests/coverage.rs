//! Counts of executed code.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Coverage, Cpu, CpuState, Executions, Exit, MemoryPlan, Until, state::reg};
use guestlab_soft::SoftCpu;

const CODE: u32 = 0x1000;
const HALT: Exit = Exit::Halt { interrupts: false };

/// Executions and jumps, by the distance from the beginning of the code.
type Counts = BTreeMap<u64, (u64, Option<u64>)>;

#[derive(Default)]
struct Collector(Mutex<Counts>);

impl Coverage for Collector {
    fn add(&self, code: &[Executions]) {
        let mut counts = self.0.lock().unwrap();
        for Executions { address, count, jumped } in code {
            let entry = counts.entry(address - u64::from(CODE)).or_insert((0, jumped.map(|_| 0)));
            entry.0 += count;
            entry.1 = entry.1.map(|before| before + jumped.unwrap());
        }
    }
}

impl Collector {
    fn all(&self) -> u64 {
        self.0.lock().unwrap().values().map(|(count, _)| count).sum()
    }
}

fn cpu(code: &[u8], collector: &Arc<Collector>) -> SoftCpu {
    let mut state = CpuState::flat(CpuMode::Protected, CODE, 0x3000, 0);
    state.general[reg::RDI] = 0x4000;
    let mut cpu = SoftCpu::new(&MemoryPlan::below(0x8000), &state);
    cpu.memory_mut().write(CODE.into(), code).unwrap();
    assert!(cpu.set_coverage(Some(Arc::clone(collector) as Arc<dyn Coverage>)));
    cpu
}

/// Runs a CPU until it halts, by pieces of this length. Reads get 0x55.
fn run(cpu: &mut SoftCpu, until: Until) {
    for _ in 0..1000 {
        match cpu.run(until).unwrap() {
            HALT => return,
            Exit::In { .. } => cpu.answer(0x55),
            Exit::Mmio { .. } => cpu.answer(0x55),
            _ => {}
        }
    }
    panic!("it does not halt");
}

/// The counts of code that ends with `hlt`, which are the same in pieces of any length; and the number of instructions.
#[track_caller]
fn counts(code: &[u8]) -> (Counts, u64) {
    let count = |until| {
        let collector = Arc::default();
        let mut cpu = cpu(code, &collector);
        run(&mut cpu, until);
        let instructions = cpu.instructions().unwrap();
        drop(cpu);
        let counts = collector.0.lock().unwrap().clone();
        (counts, instructions)
    };
    let whole = count(Until::Exit);
    for until in [Until::Step, Until::Count(1), Until::Count(2), Until::Count(3)] {
        assert_eq!(count(until).0, whole.0, "{until:?}");
    }
    whole
}

#[test]
fn every_instruction_and_every_jump_is_counted() {
    // mov ecx, 3; dec ecx; jnz -3; jmp +1; nop; hlt
    let code = [0xB9, 3, 0, 0, 0, 0x49, 0x75, 0xFD, 0xEB, 1, 0x90, 0xF4];
    let (counts, instructions) = counts(&code);
    let expected = [(0, (1, None)), (5, (3, None)), (6, (3, Some(2))), (8, (1, None)), (11, (1, None))];
    assert_eq!(counts, Counts::from(expected));
    assert_eq!(instructions, 9);
}

#[test]
fn an_exit_in_the_middle_of_a_block_does_not_count_twice() {
    // out 0x80, al; in al, 0x80; mov eax, [0x100000]; nop; hlt
    let code = [0xE6, 0x80, 0xE4, 0x80, 0xA1, 0, 0, 0x10, 0, 0x90, 0xF4];
    let (counts, _) = counts(&code);
    assert_eq!(counts, [0, 2, 4, 9, 10].map(|at| (at, (1, None))).into());
}

#[test]
fn a_repeated_string_instruction_counts_once() {
    // mov ecx, 5; rep stosb; hlt
    let (counts, _) = counts(&[0xB9, 5, 0, 0, 0, 0xF3, 0xAA, 0xF4]);
    assert_eq!(counts, [0, 5, 7].map(|at| (at, (1, None))).into());
}

#[test]
fn code_that_writes_itself_loses_no_counts() {
    // mov ecx, 4; L: mov byte [M + 1], cl; M: mov al, 0; dec ecx; jnz L; hlt
    let code = [0xB9, 4, 0, 0, 0, 0x88, 0x0D, 0x0C, 0x10, 0, 0, 0xB0, 0, 0x49, 0x75, 0xF5, 0xF4];
    let (counts, instructions) = counts(&code);
    let expected = [
        (0, (1, None)),
        (5, (4, None)),
        (11, (4, None)),
        (13, (4, None)),
        (14, (4, Some(3))),
        (16, (1, None)),
    ];
    assert_eq!(counts, Counts::from(expected));
    assert_eq!(counts.values().map(|(count, _)| count).sum::<u64>(), instructions);
}

#[test]
fn forks_count_for_the_same_collector() {
    // nop; out 0x80, al; nop; hlt
    let collector = Arc::default();
    let mut first = cpu(&[0x90, 0xE6, 0x80, 0x90, 0xF4], &collector);
    first.run(Until::Exit).unwrap();
    let mut second = first.fork();
    run(&mut first, Until::Exit);
    run(&mut second, Until::Exit);
    assert_eq!(collector.all(), 0, "counts are collected later");
    drop((first, second));
    let expected = [(0, (1, None)), (1, (1, None)), (3, (2, None)), (4, (2, None))];
    assert_eq!(*collector.0.lock().unwrap(), Counts::from(expected));
}

#[test]
fn counting_begins_and_ends_when_it_is_told() {
    let collector = Arc::default();
    let mut cpu = cpu(&[0xE6, 0x80, 0x90, 0x90, 0xE6, 0x80, 0x90, 0xF4], &collector);
    cpu.set_coverage(None);
    cpu.run(Until::Exit).unwrap();
    cpu.set_coverage(Some(Arc::clone(&collector) as Arc<dyn Coverage>));
    cpu.run(Until::Exit).unwrap();
    cpu.set_coverage(None);
    run(&mut cpu, Until::Exit);
    assert_eq!(collector.0.lock().unwrap().keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
}
