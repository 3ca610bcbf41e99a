//! Limits and rights of segments (Intel SDM volume 3A, 5.3 to 5.7), and what the width of the stack means.

use guestlab_cpu::{
    Rights, Segment,
    state::{reg, seg},
};

use crate::machine::*;

/// Runs code with DS described so; returns the fault, or `None` if it reached HLT.
fn with_data(descriptor: u64, limit: u32, code: &[u8]) -> Option<(u64, u32)> {
    let mut machine = Machine::new(0, &[code, &[0xF4]].concat());
    machine.change(|state| {
        state.segments[seg::DS] =
            Segment { selector: SPARE, base: DATA, limit, rights: Rights::from_descriptor(descriptor) };
    });
    let at = machine.halt();
    (at != CODE + code.len() as u64).then(|| (at - 0x4000, machine.stack::<1>()[0]))
}

#[test]
fn an_access_must_be_inside_of_the_limit() {
    let data = 0x0040_9300_0000_0000;
    // `mov al, [0xFF]`, `mov ax, [0xFF]`, `mov eax, [0xFC]`, `mov eax, [0xFD]`.
    assert_eq!(with_data(data, 0xFF, &[0xA0, 0xFF, 0, 0, 0]), None);
    assert_eq!(with_data(data, 0xFF, &[0x66, 0xA1, 0xFF, 0, 0, 0]), Some((13, 0)));
    assert_eq!(with_data(data, 0xFF, &[0xA1, 0xFC, 0, 0, 0]), None);
    assert_eq!(with_data(data, 0xFF, &[0xA1, 0xFD, 0, 0, 0]), Some((13, 0)));
    // It goes down from 64 KiB or 4 GiB, to behind the limit.
    let down = 0x0000_9700_0000_0000;
    assert_eq!(with_data(down, 0xFF, &[0xA0, 0xFF, 0, 0, 0]), Some((13, 0)));
    assert_eq!(with_data(down, 0xFF, &[0xA0, 0, 1, 0, 0]), None);
    assert_eq!(with_data(down, 0xFF, &[0x66, 0xA1, 0xFF, 0xFF, 0, 0]), Some((13, 0)));
}

#[test]
fn an_access_must_be_of_an_allowed_kind() {
    let (read, write) = (&[0xA0, 0, 0, 0, 0][..], &[0xA2, 0, 0, 0, 0][..]);
    let faults = |descriptor, code| with_data(descriptor, 0xFF, code);
    // Data to read only, readable code, code.
    for (descriptor, can_read) in [(0x9100, true), (0x9B00, true), (0x9900, false)] {
        let descriptor = descriptor << 32;
        assert_eq!(faults(descriptor, read).is_none(), can_read, "{descriptor:#x}");
        assert_eq!(faults(descriptor, write), Some((13, 0)), "{descriptor:#x}");
    }
    // ARPL writes a selector only if it changes: `mov dx, 3` or 0, `arpl [0], dx`.
    assert_eq!(faults(0x9100 << 32, &[0x66, 0xBA, 3, 0, 0x63, 0x15, 0, 0, 0, 0]), Some((13, 0)));
    assert_eq!(faults(0x9100 << 32, &[0x66, 0xBA, 0, 0, 0x63, 0x15, 0, 0, 0, 0]), None);
}

#[test]
fn a_selector_is_checked_when_it_is_loaded() {
    // `mov ds, eax` and `mov ss, eax`.
    let load = |register: u8, level: u8, selector: u16, descriptor: u64| {
        let mut machine = Machine::new(level, &[0x8E, 0xC0 | register << 3, 0xF4]);
        machine.describe(SPARE, descriptor);
        machine.change(|state| state.general[0] = selector.into());
        let at = machine.halt();
        let [code, ip] = machine.stack();
        // HLT of level 3 is a fault itself.
        ((at, ip) != (0x400D, CODE as u32 + 2) && at != CODE + 2).then(|| (at - 0x4000, code))
    };
    let spare = u32::from(SPARE);
    const DS: u8 = 3;
    const SS: u8 = 2;
    assert_eq!(load(DS, 0, 0, 0), None);
    assert_eq!(load(DS, 0, SPARE, FLAT_DATA_0), None);
    assert_eq!(load(DS, 0, SPARE, FLAT_CODE_0), None);
    assert_eq!(load(DS, 0, SPARE, FLAT_CODE_0 & !(1 << 41)), Some((13, spare)));
    assert_eq!(load(DS, 0, SPARE, FLAT_DATA_0 & !PRESENT), Some((11, spare)));
    assert_eq!(load(DS, 0, 0x78, 0), Some((13, 0x78)));
    assert_eq!(load(DS, 0, SPARE | 4, FLAT_DATA_0), Some((13, spare | 4)));
    assert_eq!(load(DS, 0, SPARE | 3, FLAT_DATA_0), Some((13, spare)));
    assert_eq!(load(DS, 3, SPARE, FLAT_DATA_0), Some((13, spare)));
    assert_eq!(load(DS, 3, SPARE, FLAT_CODE_0 | 1 << 42), None);
    assert_eq!(load(SS, 0, 0, 0), Some((13, 0)));
    assert_eq!(load(SS, 0, SPARE, FLAT_DATA_0), None);
    assert_eq!(load(SS, 0, SPARE, FLAT_DATA_0 & !(1 << 41)), Some((13, spare)));
    assert_eq!(load(SS, 0, SPARE, FLAT_DATA_3), Some((13, spare)));
    assert_eq!(load(SS, 3, SPARE | 3, FLAT_DATA_3), None);
    assert_eq!(load(SS, 3, SPARE, FLAT_DATA_3), Some((13, spare)));
    assert_eq!(load(SS, 0, SPARE, FLAT_DATA_0 & !PRESENT), Some((12, spare)));
}

/// The stack segment with 16 bits of the pointer in use.
fn narrow_stack(machine: &mut Machine, pointer: u64) {
    machine.change(|state| {
        state.segments[seg::SS].rights = Rights::from_descriptor(FLAT_DATA_0 & !(1 << 54));
        state.general[reg::RSP] = pointer;
    });
}

#[test]
fn pop_of_ss_moves_the_pointer_in_its_old_width() {
    // `pop ss`, with the pointer at the end of the 16 bits.
    let mut machine = Machine::new(0, &[0x17, 0xF4]);
    machine.put(0xFFFC, &u32::from(DATA_0).to_le_bytes());
    narrow_stack(&mut machine, 0x3_FFFC);
    assert_eq!(machine.halt(), CODE + 1);
    assert_eq!(machine.state().general[reg::RSP], 0x3_0000);
}

#[test]
fn enter_keeps_the_upper_half_of_the_pointer_in_its_frame() {
    // `enter 4, 1`.
    let mut machine = Machine::new(0, &[0xC8, 4, 0, 1, 0xF4]);
    narrow_stack(&mut machine, 0x3_8000);
    assert_eq!(machine.halt(), CODE + 4);
    let state = machine.state();
    assert_eq!((state.general[reg::RBP], state.general[reg::RSP]), (0x3_7FFC, 0x3_7FF4));
    assert_eq!(machine.word(0x7FF8), 0x3_7FFC);
}
