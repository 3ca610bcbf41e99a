//! Exceptions and interrupts through gates (Intel SDM volume 3A, chapter 6).

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, Exit, Until, identity::four_levels, state::reg};

use crate::machine::*;

const IF: u64 = 1 << 9;

#[test]
fn an_exception_of_level_3_pushes_the_outer_stack() {
    let mut machine = Machine::new(3, &[0x0F, 0x0B]);
    assert_eq!(machine.vector(), 6);
    // RF is set for a fault.
    let frame = [CODE as u32, CODE_3.into(), 0x1_0002, STACK as u32, DATA_3.into()];
    assert_eq!(machine.stack(), frame);
    assert_eq!(machine.state().general[reg::RSP], INNER - 20);
}

#[test]
fn an_interrupt_gate_clears_the_interrupt_flag_and_a_trap_gate_does_not() {
    for (kind, flags) in [(INTERRUPT_GATE, 0), (TRAP_GATE, IF)] {
        let mut machine = Machine::new(0, &[0xCD, 0x30]);
        machine.change(|state| state.flags |= IF);
        machine.set_gate(0x30, gate(kind, CODE_0, TARGET, 0));
        assert_eq!(machine.halt(), TARGET);
        assert_eq!(machine.state().flags & IF, flags);
    }
}

#[test]
fn the_gate_of_a_software_interrupt_needs_its_level() {
    let at = CODE as u32;
    assert_eq!(Machine::new(3, &[0xCD, 0x30]).fault(), (13, 0x30 << 3 | 2, at));
    // INT3 and INTO are alike; INT1 is not, and exceptions are not.
    assert_eq!(Machine::new(3, &[0xCC]).fault(), (13, 3 << 3 | 2, at));
    assert_eq!(Machine::new(3, &[0xF1]).vector(), 1);
    assert_eq!(Machine::new(3, &[0x0F, 0x0B]).vector(), 6);
}

#[test]
fn an_error_code_says_whether_the_event_was_the_programs() {
    let missing = |vector, code: &[u8]| {
        let mut machine = Machine::new(0, code);
        machine.set_gate(vector, gate(INTERRUPT_GATE, CODE_0, TARGET, 0) & !PRESENT);
        machine
    };
    assert_eq!(missing(0x30, &[0xCD, 0x30]).fault(), (11, 0x30 << 3 | 2, CODE as u32));
    assert_eq!(missing(6, &[0x0F, 0x0B]).fault(), (11, 6 << 3 | 3, CODE as u32));
    let mut outer = missing(0x30, &[0x90]);
    outer.change(|state| state.flags |= IF);
    assert!(outer.0.interrupt(0x30).unwrap());
    assert_eq!(outer.fault(), (11, 0x30 << 3 | 3, CODE as u32));
    // A gate beyond the table, and one to a bad segment.
    let mut beyond = Machine::new(0, &[0xCD, 0xFF]);
    beyond.change(|state| state.idt.limit = 0x7FE);
    assert_eq!(beyond.fault(), (13, 0xFF << 3 | 2, CODE as u32));
    let mut data = Machine::new(0, &[0x0F, 0x0B]);
    data.set_gate(6, gate(INTERRUPT_GATE, DATA_0, TARGET, 0));
    assert_eq!(data.fault(), (13, u32::from(DATA_0) | 1, CODE as u32));
}

#[test]
fn two_contributory_exceptions_are_a_double_fault_and_a_third_shuts_down() {
    let missing = gate(INTERRUPT_GATE, CODE_0, TARGET, 0) & !PRESENT;
    // `mov ds, SPARE`, which is beyond the table.
    let code = [0xB8, 0xF8, 0xFF, 0, 0, 0x8E, 0xD8];
    let mut machine = Machine::new(0, &code);
    machine.set_gate(13, missing);
    assert_eq!(machine.fault(), (8, 0, CODE as u32 + 5));
    let mut machine = Machine::new(0, &code);
    machine.set_gate(13, missing);
    machine.set_gate(8, missing);
    assert_eq!(machine.0.run(Until::Count(10)).unwrap(), Exit::Shutdown);
    // #UD is not contributory: the second exception is just delivered.
    let mut machine = Machine::new(0, &[0x0F, 0x0B]);
    machine.set_gate(6, missing);
    assert_eq!(machine.vector(), 11);
}

#[test]
fn iret_checks_where_it_returns_to() {
    let code = [0x9C, 0x6A, 0x00, 0x6A, 0x00, 0xCF];
    let iret = |selector: u16| {
        let mut code = code;
        code[2] = selector as u8;
        Machine::new(0, &code).fault()
    };
    let at = CODE as u32 + 5;
    assert_eq!(iret(0), (13, 0, at));
    assert_eq!(iret(DATA_0), (13, DATA_0.into(), at));
    // Nonconforming code of level 0 with the requested level 3.
    assert_eq!(iret(CODE_0 | 3), (13, CODE_0.into(), at));
    assert_eq!(iret(0x78), (13, 0x78, at));
}

#[test]
fn long_mode_has_no_task_to_return_to() {
    const TABLES: u32 = 0xA000;
    let mut machine = Machine::new(0, &[0x48, 0xCF]);
    machine.put(TABLES.into(), &four_levels(TABLES));
    let mut state = guestlab_cpu::CpuState::flat(CpuMode::Long, CODE as u32, STACK as u32, TABLES);
    state.flags |= 1 << 14;
    machine.0.set_state(&state).unwrap();
    machine.change(|state| {
        (state.gdt.base, state.gdt.limit, state.idt.base, state.idt.limit) = (GDT, 0x47, DATA, 0xFFF)
    });
    machine.describe(CODE_0, 0x0020_9B00_0000_0000);
    let gate = gate(INTERRUPT_GATE, CODE_0, TARGET, 0);
    machine.put(DATA + 13 * 16, &[gate.to_le_bytes(), [0; 8]].concat());
    assert_eq!(machine.halt(), TARGET);
    assert_eq!(machine.stack::<3>(), [0, 0, CODE as u32]);
}
