//! Task switches (Intel SDM volume 3A, chapter 7).

use guestlab_cpu::{
    Rights,
    state::{reg, seg},
};

use crate::machine::*;

const NT: u64 = 1 << 14;
const TS: u64 = 1 << 3;

/// `jmp SELECTOR:0` and `call SELECTOR:0`, then HLT.
fn jump(selector: u16) -> [u8; 8] {
    [0xEA, 0, 0, 0, 0, selector as u8, 0, 0xF4]
}

fn call(selector: u16) -> [u8; 8] {
    [0x9A, 0, 0, 0, 0, selector as u8, 0, 0xF4]
}

/// Writes the task state segment of the other task: level 0, general registers that count up, at `TARGET`.
fn other(machine: &mut Machine, fields: &[(u64, u32)]) {
    let general = (0..8).map(|index| (0x28 + 4 * index, 0x1111_0000 + index as u32));
    let segments = (0..6).map(|index| (0x48 + 4 * index, DATA_0.into()));
    let rest = [
        (0x20, TARGET as u32),
        (0x24, 2),
        (0x38, STACK as u32),
        (0x4C, CODE_0.into()),
        (4, INNER as u32),
        (8, DATA_0.into()),
    ];
    for (at, value) in general.chain(segments).chain(rest).chain(fields.iter().copied()) {
        machine.put(OTHER + at, &value.to_le_bytes());
    }
}

fn machine(code: &[u8], fields: &[(u64, u32)]) -> Machine {
    let mut machine = Machine::new(0, code);
    other(&mut machine, fields);
    machine
}

#[test]
fn a_jump_saves_the_task_and_loads_the_other() {
    let mut machine = machine(&jump(OTHER_SELECTOR), &[(0, 0xDEAD)]);
    machine.change(|state| state.general[reg::RSI] = 0x77);
    assert_eq!(machine.halt(), TARGET);
    let state = machine.state();
    assert_eq!((state.general[reg::RCX], state.general[reg::RDI]), (0x1111_0001, 0x1111_0007));
    assert_eq!(
        (state.tr.selector, state.tr.base, state.cr0 & TS, state.flags),
        (OTHER_SELECTOR, OTHER, TS, 2)
    );
    // The saved fields: EIP behind the jump, ESI, CS. The link is not written.
    assert_eq!((machine.word(TASK + 0x20), machine.word(TASK + 0x40)), (CODE as u32 + 7, 0x77));
    assert_eq!((machine.word(TASK + 0x4C), machine.word(OTHER)), (CODE_0.into(), 0xDEAD));
    // Busy is the other one now.
    assert_eq!((machine.kind(TASK_SELECTOR), machine.kind(OTHER_SELECTOR)), (0x89, 0x8B));
}

#[test]
fn a_call_is_linked_and_iret_returns() {
    let mut machine = machine(&call(OTHER_SELECTOR), &[]);
    machine.put(TARGET + 1, &[0xCF]);
    assert_eq!(machine.halt(), TARGET);
    assert_eq!(machine.state().flags & NT, NT);
    assert_eq!(machine.word(OTHER), TASK_SELECTOR.into());
    assert_eq!((machine.kind(TASK_SELECTOR), machine.kind(OTHER_SELECTOR)), (0x8B, 0x8B));
    assert_eq!(machine.halt(), CODE + 7);
    // NT is cleared in the flags that are saved, and the next call goes on behind IRET.
    assert_eq!((machine.word(OTHER + 0x24), machine.word(OTHER + 0x20)), (2, TARGET as u32 + 2));
    assert_eq!((machine.kind(TASK_SELECTOR), machine.kind(OTHER_SELECTOR)), (0x8B, 0x89));
}

#[test]
fn an_exception_through_a_task_gate_pushes_its_code_there() {
    // `mov ds, 0x78`, which is beyond the table.
    let mut machine = machine(&[0x66, 0xB8, 0x78, 0, 0x8E, 0xD8], &[]);
    machine.set_gate(13, gate(TASK_GATE, OTHER_SELECTOR, 0, 0));
    assert_eq!(machine.halt(), TARGET);
    assert_eq!((machine.state().general[reg::RSP], machine.stack()), (STACK - 4, [0x78]));
    assert_eq!(machine.word(TASK + 0x20), CODE as u32 + 4);
}

#[test]
fn a_task_must_be_there_and_free() {
    let at = CODE as u32;
    let selector = u32::from(OTHER_SELECTOR);
    for (descriptor, expected) in [
        (system(TASK_32 | 2, OTHER, 0x67), (13, selector)),
        (system(TASK_32, OTHER, 0x67) & !PRESENT, (11, selector)),
        (system(TASK_32, OTHER, 0x66), (10, selector)),
        (system(2, OTHER, 0x67), (13, selector)),
    ] {
        let mut machine = machine(&jump(OTHER_SELECTOR), &[]);
        machine.describe(OTHER_SELECTOR, descriptor);
        let (vector, code, ip) = machine.fault();
        assert_eq!(((vector, code), ip), (expected, at), "{descriptor:#x}");
        assert_eq!(machine.state().tr.selector, TASK_SELECTOR);
    }
    // Level 3 may not use a task of level 0, but may use a gate of level 3.
    assert_eq!(Machine::new(3, &jump(OTHER_SELECTOR | 3)).fault(), (13, selector, at));
    let mut machine = Machine::new(3, &jump(SPARE | 3));
    other(&mut machine, &[]);
    machine.describe(SPARE, gate(TASK_GATE, OTHER_SELECTOR, 0, 0) | LEVEL_3);
    assert_eq!(machine.halt(), TARGET);
    // IRET with NT to a task that is not busy.
    let mut machine = Machine::new(0, &[0xCF]);
    machine.put(TASK, &OTHER_SELECTOR.to_le_bytes());
    machine.change(|state| state.flags |= NT);
    assert_eq!(machine.fault(), (10, selector, at));
}

#[test]
fn a_fault_of_the_new_task_is_raised_in_it() {
    // A task of level 3, so that the handler has a stack. Each field is wrong in its way.
    let outer = [(0x4C, CODE_3.into()), (0x50, DATA_3.into()), (0x48, 0), (0x54, 0), (0x58, 0), (0x5C, 0)];
    for (field, value, expected) in [
        (0x60, 0x78, (10, 0x78)),
        (0x50, DATA_0.into(), (10, DATA_0.into())),
        (0x50, 0, (10, 0)),
        (0x54, DATA_0.into(), (10, DATA_0.into())),
        (0x4C, u32::from(DATA_3), (10, u32::from(DATA_3 & !3))),
        (0x4C, u32::from(CODE_0 | 3), (10, CODE_0.into())),
    ] {
        let mut machine = machine(&jump(OTHER_SELECTOR), &[&outer[..], &[(field, value)]].concat());
        let (vector, code, ip) = machine.fault();
        assert_eq!((vector, code), expected, "{field:#x}");
        // The exception is that of the new task's first instruction, on its own inner stack.
        assert_eq!((ip, machine.state().tr.selector), (TARGET as u32, OTHER_SELECTOR), "{field:#x}");
        assert_eq!(machine.state().general[reg::RSP], INNER - 24);
        assert_eq!(machine.kind(TASK_SELECTOR), 0x89);
    }
}

#[test]
fn a_16_bit_task_has_16_bit_registers() {
    let mut machine = Machine::new(0, &jump(OTHER_SELECTOR));
    machine.describe(OTHER_SELECTOR, system(1, OTHER, 0x2B));
    machine.describe(SPARE, 0x0000_9B00_0000_FFFF);
    for (at, value) in [
        (0x0E, TARGET as u16),
        (0x10, 0xFFFF),
        (0x12, 0x1234),
        (0x1A, STACK as u16),
        (0x22, DATA_0),
        (0x24, SPARE),
        (0x26, DATA_0),
        (0x28, 0),
    ] {
        machine.put(OTHER + at, &value.to_le_bytes());
    }
    machine.change(|state| state.segments[seg::GS].selector = DATA_0);
    assert_eq!(machine.halt(), TARGET);
    let state = machine.state();
    assert_eq!(state.general[reg::RAX], 0xFFFF_1234);
    // Reserved flags stay as they are, and there are no upper ones.
    assert_eq!(state.flags, 0x7FD7 & !0x100 | 0x100 | 2);
    assert_eq!((state.segments[seg::GS].selector, state.segments[seg::GS].rights), (0, Rights::UNUSABLE));
}

#[test]
fn a_task_with_the_trap_flag_begins_with_a_debug_exception() {
    let mut machine = machine(&jump(OTHER_SELECTOR), &[(0x64, 1)]);
    machine.change(|state| (state.debug[0], state.debug[7]) = (TARGET, 0x401));
    assert_eq!(machine.vector(), 1);
    assert_eq!(machine.stack(), [TARGET as u32, CODE_0.into()]);
    // The local breakpoint is gone: BT, and no B0.
    let state = machine.state();
    assert_eq!((state.debug[6], state.debug[7]), (0xFFFF_8FF0, 0x400));
}

#[test]
fn a_task_can_be_virtual_8086_code() {
    const PARAGRAPHS: u32 = (TARGET >> 4) as u32;
    let fields = [(0x20, 0), (0x24, 0x2_0002), (0x4C, PARAGRAPHS), (0x48, 0x44)];
    let mut machine = machine(&jump(OTHER_SELECTOR), &fields);
    // HLT is privileged there.
    assert_eq!(machine.fault(), (13, 0, 0));
    let [_, _, selector, flags, _, _, es] = machine.stack();
    assert_eq!((selector, flags, es), (PARAGRAPHS, 0x3_0002, 0x44));
}
