//! Debug exceptions at the edges (Intel SDM volume 3A, 6.8.3; volume 3B, 17.2 and 17.3).

use guestlab_cpu::{Cpu, Exit, Until};

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

/// CR4.DE: there are breakpoints on ports.
const DE: u64 = 1 << 3;
/// DR7: breakpoint 1 is enabled, on ports, and its length field.
const ON_PORT: u64 = 0x404 | 2 << 20;
const LENGTH: u32 = 22;

/// Runs code with a breakpoint on port 0x54 and those behind it, up to its HLT or to the handler of #DB. Each access to a
/// port is answered.
fn with_port_point(code: &[u8], control: u64, cr4: u64) -> (Machine, u64) {
    let mut machine = Machine::new(0, &[code, &[0xF4]].concat());
    machine.change(|state| {
        (state.debug[1], state.debug[7], state.cr4) = (0x54, control, cr4);
        (state.general[1], state.general[2], state.general[6], state.general[7]) = (3, 0x55, DATA, DATA);
    });
    loop {
        match machine.0.run(Until::Count(1000)).unwrap() {
            Exit::In { .. } => machine.0.answer(0x1234_5678),
            Exit::Out { .. } => {}
            exit => {
                assert!(matches!(exit, Exit::Halt { .. }), "{exit:?}");
                let ip = machine.state().ip - 1;
                return (machine, ip);
            }
        }
    }
}

#[test]
fn a_breakpoint_on_a_port_comes_behind_the_access() {
    let four = ON_PORT | 3 << LENGTH;
    for (code, control, cr4, is_met) in [
        (&[0xE4, 0x54][..], ON_PORT, DE, true),   // in al, 0x54
        (&[0xE4, 0x54], ON_PORT, 0, false),       // without CR4.DE
        (&[0xE4, 0x54], ON_PORT & !4, DE, false), // not enabled
        (&[0xE4, 0x55], ON_PORT, DE, false),      // in al, 0x55
        (&[0xE4, 0x55], four, DE, true),
        (&[0xE7, 0x50], ON_PORT, DE, false),       // out 0x50, eax
        (&[0xE7, 0x51], ON_PORT, DE, true),        // out 0x51, eax
        (&[0xE6, 0x57], four, DE, true),           // out 0x57, al
        (&[0xE6, 0x58], four, DE, false),          // out 0x58, al
        (&[0xEC], four, DE, true),                 // in al, dx
        (&[0x6E], four, DE, true),                 // outsb
        (&[0xA0, 0x54, 0, 0, 0], four, DE, false), // mov al, [0x54]
    ] {
        let (mut machine, ip) = with_port_point(code, control, cr4);
        let name = format!("{code:x?}, DR7 {control:#x}, CR4 {cr4:#x}");
        let end = CODE + code.len() as u64;
        if !is_met {
            assert_eq!(ip, end, "{name}");
            continue;
        }
        // #DB, and the address of the next instruction.
        assert_ne!(ip, end, "{name}");
        assert_eq!(machine.stack(), [end as u32], "{name}");
        let state = machine.state();
        assert_eq!(state.debug[6] & 0xF, 2, "{name}");
        if matches!(code[0], 0xE4 | 0xEC) {
            assert_eq!(state.general[0], 0x78, "{name}: the answer has arrived");
        }
    }
}

#[test]
fn a_breakpoint_on_a_port_comes_behind_each_repetition() {
    // `rep insb` and `rep outsb`: two of three are left.
    for code in [[0xF3, 0x6C], [0xF3, 0x6E]] {
        let (mut machine, ip) = with_port_point(&code, ON_PORT | 3 << LENGTH, DE);
        assert_ne!(ip, CODE + 2);
        assert_eq!(machine.stack(), [CODE as u32], "{code:x?}");
        assert_eq!(machine.state().general[1], 2, "{code:x?}");
    }
}
