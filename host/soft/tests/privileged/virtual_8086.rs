//! Virtual-8086 mode (Intel SDM volume 3B, chapter 20).

use guestlab_cpu::{
    Cpu, Exit, Rights, Segment, Until,
    state::{reg, seg},
};

use crate::machine::*;

const VM: u64 = 1 << 17;
const NT: u64 = 1 << 14;
const IOPL_3: u64 = 3 << 12;

/// The paragraph of the code.
const PARAGRAPH: u16 = (CODE >> 4) as u16;

fn machine(flags: u64, code: &[u8]) -> Machine {
    let mut machine = Machine::new(3, code);
    machine.change(|state| {
        state.flags |= VM | flags;
        for (segment, selector) in state.segments.iter_mut().zip([0x11, PARAGRAPH, 0x700, 0x44, 0x55, 0x66]) {
            *segment =
                Segment { selector, base: u64::from(selector) << 4, limit: 0xFFFF, rights: Rights(0xF3) };
        }
        (state.ip, state.general[reg::RSP]) = (0, 0x800);
    });
    machine
}

#[test]
fn an_interrupt_saves_the_data_segments_and_iret_restores_them() {
    let mut machine = machine(IOPL_3, &[0xCD, 0x30, 0x90, 0xF4]);
    machine.set_gate(0x30, gate(INTERRUPT_GATE, CODE_0, TARGET, 0) | LEVEL_3);
    machine.put(TARGET + 1, &[0xCF]);
    assert_eq!(machine.halt(), TARGET);
    let flags = (VM | IOPL_3 | 2) as u32;
    assert_eq!(machine.stack(), [2, PARAGRAPH.into(), flags, 0x800, 0x700, 0x11, 0x44, 0x55, 0x66]);
    let state = machine.state();
    assert_eq!(state.flags & VM, 0);
    for index in [seg::ES, seg::DS, seg::FS, seg::GS] {
        assert_eq!(state.segments[index].selector, 0);
        assert!(state.segments[index].rights.has(Rights::UNUSABLE));
    }
    // Back, and HLT is privileged.
    let (vector, code, ip) = machine.fault();
    assert_eq!((vector, code, ip), (13, 0, 3));
    let [.., es, ds, fs, gs] = machine.stack::<10>();
    assert_eq!([es, ds, fs, gs], [0x11, 0x44, 0x55, 0x66]);
}

#[test]
fn interrupts_lead_to_level_0_only() {
    for (descriptor, selector) in [(FLAT_CODE_3, SECOND_SPARE | 3), (FLAT_CODE_0 | 1 << 42, SECOND_SPARE)] {
        let mut machine = machine(IOPL_3, &[0xCD, 0x30]);
        machine.describe(SECOND_SPARE, descriptor);
        machine.set_gate(0x30, gate(INTERRUPT_GATE, selector, TARGET, 0) | LEVEL_3);
        assert_eq!(machine.fault(), (13, SECOND_SPARE.into(), 0), "{descriptor:#x}");
    }
}

#[test]
fn instructions_about_interrupts_need_the_io_privilege() {
    // CLI, STI, PUSHF, POPF, IRET, INT n.
    for code in [&[0xFA][..], &[0xFB], &[0x9C], &[0x9D], &[0xCF], &[0xCD, 0x30]] {
        assert_eq!(machine(0, code).fault(), (13, 0, 0), "{code:x?}");
    }
    for code in [0xFA, 0xFB, 0x9C, 0x9D] {
        // HLT behind it.
        assert_eq!(machine(IOPL_3, &[code, 0xF4]).fault(), (13, 0, 1), "{code:x}");
    }
    // IRET pops as in real mode, whatever NT is: to 0050:0003, which is this code's fourth byte.
    let mut machine = machine(IOPL_3 | NT, &[0xCF, 0, 0, 0xF4]);
    machine.put(0x7800, &[3, 0, PARAGRAPH as u8, (PARAGRAPH >> 8) as u8, 0, 0]);
    assert_eq!(machine.fault(), (13, 0, 3));
}

#[test]
fn ports_are_the_permission_maps() {
    // `in al, 0x64`
    let code = [0xE4, 0x64];
    // IOPL means nothing here, and this task's map is beyond its limit.
    assert_eq!(machine(IOPL_3, &code).fault(), (13, 0, 0));
    let mut open = machine(0, &code);
    open.change(|state| state.tr.limit = 0x68 + 13);
    assert!(matches!(open.0.run(Until::Exit).unwrap(), Exit::In { port: 0x64, .. }));
    let mut closed = machine(0, &code);
    closed.put(TASK + 0x68 + 12, &[0x10]);
    closed.change(|state| state.tr.limit = 0x68 + 13);
    assert_eq!(closed.fault(), (13, 0, 0));
    // A 16-bit task has no map.
    let mut narrow = machine(0, &code);
    narrow.change(|state| (state.tr.limit, state.tr.rights) = (0x68 + 13, Rights(0x83)));
    narrow.set_gate(13, gate(INTERRUPT_GATE, CODE_0, TARGET, 0));
    narrow.put(TASK + 2, &[INNER.to_le_bytes()[..2].to_vec(), DATA_0.to_le_bytes().to_vec()].concat());
    assert_eq!(narrow.halt(), TARGET);
}
