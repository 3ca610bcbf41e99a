//! Debug exceptions at the edges (Intel SDM volume 3A, 6.8.3; volume 3B, 17.2 and 17.3).

use crate::machine::*;

const TF: u64 = 1 << 8;

fn stepped(code: &[u8]) -> Machine {
    let mut machine = Machine::new(0, code);
    machine.change(|state| state.flags |= TF);
    machine
}

#[test]
fn a_load_of_ss_holds_debug_exceptions_back_for_one_instruction() {
    // `mov ss, eax`, `nop`, `nop`; then `push ss`, `pop ss`, `nop`: the first step is behind NOP.
    for (code, end) in [(&[0x8E, 0xD0, 0x90, 0x90][..], 3), (&[0x17, 0x90, 0x90], 2)] {
        let mut machine = stepped(code);
        machine.put(STACK, &DATA_0.to_le_bytes());
        machine.change(|state| state.general[0] = DATA_0.into());
        assert_eq!(machine.vector(), 1);
        assert_eq!(machine.stack(), [CODE as u32 + end], "{code:x?}");
    }
    // Not behind STI.
    let mut machine = stepped(&[0xFB, 0x90]);
    assert_eq!((machine.vector(), machine.stack()), (1, [CODE as u32 + 1]));
    // A breakpoint on the instruction behind is passed, too.
    let mut machine = Machine::new(0, &[0x8E, 0xD0, 0x90, 0xF4]);
    machine.change(|state| {
        state.general[0] = DATA_0.into();
        (state.debug[0], state.debug[7]) = (CODE + 2, 0x401);
    });
    assert_eq!(machine.halt(), CODE + 3);
}

#[test]
fn a_watchpoint_that_a_load_of_ss_meets_is_reported_behind_the_next_instruction() {
    // `mov ss, [DATA]`, `nop`.
    let mut machine = Machine::new(0, &[0x8E, 0x15, 0, 0x90, 0, 0, 0x90, 0xF4]);
    machine.put(DATA, &DATA_0.to_le_bytes());
    machine.change(|state| (state.debug[0], state.debug[7]) = (DATA, 0x7_0401));
    assert_eq!((machine.vector(), machine.stack()), (1, [CODE as u32 + 7]));
    assert_eq!(machine.state().debug[6], 0xFFFF_0FF1);
}

#[test]
fn a_software_interrupt_is_not_stepped() {
    for code in [&[0xCD, 0x30][..], &[0xCC]] {
        let mut machine = stepped(code);
        let vector = if code.len() == 2 { 0x30 } else { 3 };
        assert_eq!(machine.vector(), vector);
        // The flag is for when the handler returns.
        let [ip, _, flags] = machine.stack();
        assert_eq!((ip, flags), (CODE as u32 + code.len() as u32, TF as u32 | 2));
        assert_eq!(machine.state().flags & TF, 0);
    }
    // INTO that interrupts nothing is.
    let mut machine = stepped(&[0xCE, 0x90]);
    assert_eq!((machine.vector(), machine.stack()), (1, [CODE as u32 + 1]));
}

#[test]
fn an_exception_replaces_the_points_in_dr6_and_keeps_the_rest() {
    let mut machine = Machine::new(0, &[0x90, 0x90]);
    machine.change(|state| (state.debug[2], state.debug[6], state.debug[7]) = (CODE + 1, 0xFFFF_4FF2, 0x420));
    assert_eq!(machine.vector(), 1);
    assert_eq!(machine.state().debug[6], 0xFFFF_4FF4);
}
