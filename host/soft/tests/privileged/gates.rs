//! Call gates (Intel SDM volume 3A, 5.8).

use guestlab_cpu::{
    Cpu, Until,
    state::{reg, seg},
};

use crate::machine::*;

/// `push 2`, `push 1`, `call SPARE:0`, `hlt`.
const CALL: [u8; 12] = [0x6A, 2, 0x6A, 1, 0x9A, 0, 0, 0, 0, SPARE as u8 | 3, 0, 0xF4];

fn machine(descriptor: u64) -> Machine {
    let mut machine = Machine::new(3, &CALL);
    machine.describe(SPARE, descriptor);
    machine
}

fn open(count: u64) -> u64 {
    gate(CALL_GATE, CODE_0, TARGET, count) | LEVEL_3
}

#[test]
fn a_call_to_an_inner_level_has_its_own_stack_and_the_arguments() {
    let mut machine = machine(open(2));
    // `retf 8`
    machine.put(TARGET + 1, &[0xCA, 8, 0]);
    assert_eq!(machine.halt(), TARGET);
    let state = machine.state();
    assert_eq!((state.segments[seg::CS].selector, state.segments[seg::SS].selector), (CODE_0, DATA_0));
    assert_eq!(state.general[reg::RSP], INNER - 24);
    let back = CODE as u32 + 11;
    assert_eq!(machine.stack(), [back, CODE_3.into(), 1, 2, STACK as u32 - 8, DATA_3.into()]);
    // HLT behind the call is privileged: the return was to level 3, and the arguments are gone from both stacks.
    assert_eq!(machine.fault(), (13, 0, back));
    let [.., pointer, selector] = machine.stack::<6>();
    assert_eq!((pointer, selector), (STACK as u32, DATA_3.into()));
}

#[test]
fn a_gate_is_checked_before_it_is_used() {
    let back = CODE as u32 + 4;
    let code = u32::from(SPARE);
    for (descriptor, expected) in [
        // Of level 0, not present, of a type that is none.
        (gate(CALL_GATE, CODE_0, TARGET, 0), (13, code)),
        (open(0) & !PRESENT, (11, code)),
        (system(0xE, 0, 0) | LEVEL_3, (13, code)),
        // To no segment, to data, to a segment beyond the table, to code that is not there.
        (gate(CALL_GATE, 0, TARGET, 0) | LEVEL_3, (13, 0)),
        (gate(CALL_GATE, DATA_0, TARGET, 0) | LEVEL_3, (13, DATA_0.into())),
        (gate(CALL_GATE, 0x100, TARGET, 0) | LEVEL_3, (13, 0x100)),
    ] {
        let (vector, code, ip) = machine(descriptor).fault();
        assert_eq!(((vector, code), ip), (expected, back), "{descriptor:#x}");
    }
    let mut missing = machine(gate(CALL_GATE, SECOND_SPARE, TARGET, 0) | LEVEL_3);
    missing.describe(SECOND_SPARE, FLAT_CODE_0 & !PRESENT);
    assert_eq!(missing.fault(), (11, SECOND_SPARE.into(), back));
}

#[test]
fn a_jump_through_a_gate_stays_at_its_level() {
    let mut machine = machine(open(0));
    machine.put(CODE + 4, &[0xEA]);
    assert_eq!(machine.fault(), (13, CODE_0.into(), CODE as u32 + 4));
}

#[test]
fn conforming_code_runs_at_the_level_of_its_caller() {
    let mut machine = machine(gate(CALL_GATE, SECOND_SPARE, TARGET, 2) | LEVEL_3);
    machine.describe(SECOND_SPARE, FLAT_CODE_0 | 1 << 42);
    // Its HLT is privileged. The arguments are not copied: the stack is the same.
    let (vector, code, ip) = machine.fault();
    assert_eq!((vector, code, ip), (13, 0, TARGET as u32));
    let [_, _, selector, _, pointer, _] = machine.stack();
    assert_eq!((selector, pointer), (u32::from(SECOND_SPARE) | 3, STACK as u32 - 16));
}

#[test]
fn the_stack_of_an_inner_level_is_checked() {
    // #TS, #SS and #GP cannot be delivered on the same bad stack: their gates lead to conforming code, at level 3.
    let run = |change: &dyn Fn(&mut Machine)| {
        let mut machine = machine(open(0));
        machine.describe(SECOND_SPARE, FLAT_CODE_0 | 1 << 42);
        for vector in 10..=13 {
            let handler = DATA + 16 * u64::from(vector);
            machine.set_gate(vector, gate(INTERRUPT_GATE, SECOND_SPARE, handler, 0));
            // `jmp` to itself.
            machine.put(handler, &[0xEB, 0xFE]);
        }
        change(&mut machine);
        machine.0.run(Until::Count(20)).unwrap();
        ((machine.state().ip - DATA) / 16, machine.stack::<1>()[0])
    };
    let stack_selector =
        |selector: u16| move |machine: &mut Machine| machine.put(TASK + 8, &selector.to_le_bytes());
    assert_eq!(run(&stack_selector(0)), (10, 0));
    assert_eq!(run(&stack_selector(DATA_3)), (10, u32::from(DATA_3 & !3)));
    assert_eq!(run(&stack_selector(CODE_0)), (10, CODE_0.into()));
    assert_eq!(run(&stack_selector(0x100)), (10, 0x100));
    // Level 0's part of the task state segment is beyond its limit.
    let short = |machine: &mut Machine| {
        machine.change(|state| state.tr.limit = 8);
    };
    assert_eq!(run(&short), (10, TASK_SELECTOR.into()));
    // No room: #SS names the new stack.
    let full = |machine: &mut Machine| {
        machine.describe(DATA_0, 0x0040_9300_0000_0FFF);
        machine.put(TASK + 4, &8_u32.to_le_bytes());
    };
    assert_eq!(run(&full), (12, DATA_0.into()));
}
