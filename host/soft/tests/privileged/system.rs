//! System instructions (Intel SDM volume 3A, 2.8), and calls of the system without gates (volume 3A, 5.8.7 and 5.8.8).

use guest_abi::mode::CpuMode;
use guestlab_cpu::{
    Cpu, CpuState, Exit, Rights, Table, Until,
    identity::four_levels,
    state::{reg, seg},
};

use crate::machine::*;

/// Runs code of level 0 up to its HLT.
fn run(code: &[u8], change: impl FnOnce(&mut CpuState)) -> Machine {
    let mut machine = Machine::new(0, &[code, &[0xF4]].concat());
    machine.change(change);
    assert_eq!(machine.halt(), CODE + code.len() as u64, "{code:x?}");
    machine
}

#[test]
fn privileged_instructions_are_for_level_0() {
    for code in [
        &[0xF4][..],         // hlt
        &[0x0F, 0x20, 0xC0], // mov eax, cr0
        &[0x0F, 0x22, 0xD8], // mov cr3, eax
        &[0x0F, 0x21, 0xF8], // mov eax, dr7
        &[0x0F, 0x23, 0xF8], // mov dr7, eax
        &[0x0F, 0x06],       // clts
        &[0x0F, 0x01, 0xF0], // lmsw ax
        &[0x0F, 0x01, 0x10], // lgdt [eax]
        &[0x0F, 0x01, 0x18], // lidt [eax]
        &[0x0F, 0x01, 0x38], // invlpg [eax]
        &[0x0F, 0x00, 0xD0], // lldt ax
        &[0x0F, 0x00, 0xD8], // ltr ax
        &[0x0F, 0x08],       // invd
        &[0x0F, 0x09],       // wbinvd
        &[0x0F, 0x32],       // rdmsr
        &[0x0F, 0x30],       // wrmsr
        &[0x0F, 0x35],       // sysexit
        &[0xFA],             // cli
        &[0xFB],             // sti
        &[0xE4, 0x10],       // in al, 0x10
    ] {
        assert_eq!(Machine::new(3, code).fault(), (13, 0, CODE as u32), "{code:x?}");
    }
    // CLAC and STAC are #UD, and RDTSC is #GP where CR4.TSD says so.
    assert_eq!(Machine::new(3, &[0x0F, 0x01, 0xCA]).vector(), 6);
    let mut machine = Machine::new(3, &[0x0F, 0x31]);
    machine.change(|state| state.cr4 |= 1 << 2);
    assert_eq!(machine.fault(), (13, 0, CODE as u32));
}

#[test]
fn tables_are_loaded_and_stored() {
    // `lgdt [edi]`, `sgdt [edi + 8]`, `lidt [edi + 16]`, `sidt [edi + 24]`, and `o16 lgdt [edi]`.
    let code = [0x0F, 0x01, 0x17, 0x0F, 0x01, 0x47, 8, 0x0F, 0x01, 0x5F, 16, 0x0F, 0x01, 0x4F, 24];
    let table = [0x34, 0x12, 0x78, 0x56, 0x34, 0x12];
    for (code, base) in [(&code[..], 0x1234_5678), (&[0x66, 0x0F, 0x01, 0x17], 0x34_5678)] {
        let mut machine = Machine::new(0, &[code, &[0xF4]].concat());
        machine.put(DATA, &table);
        machine.put(DATA + 16, &table);
        machine.change(|state| state.general[reg::RDI] = DATA);
        machine.halt();
        let state = machine.state();
        assert_eq!(state.gdt, Table { base, limit: 0x1234 });
        if code.len() > 4 {
            assert_eq!(state.idt, state.gdt);
            for at in [8, 24] {
                assert_eq!(machine.word(DATA + at), 0x5678_1234);
            }
        }
    }
}

#[test]
fn local_table_and_task_are_loaded_from_descriptors() {
    // `lldt ax`, `sldt ecx`, `ltr dx`, `str ebx`.
    let code = [0x0F, 0x00, 0xD0, 0x0F, 0x00, 0xC1, 0x0F, 0x00, 0xDA, 0x0F, 0x00, 0xCB, 0xF4];
    let machine = |local: u64, task: u64, selectors: (u16, u16)| {
        let mut machine = Machine::new(0, &code);
        machine.describe(SPARE, local);
        machine.describe(SECOND_SPARE, task);
        machine.change(|state| {
            (state.general[reg::RAX], state.general[reg::RDX]) = (selectors.0.into(), selectors.1.into());
        });
        machine
    };
    let (local, task) = (system(2, DATA, 0x17), system(TASK_32, OTHER, 0x67));
    let both = (SPARE, SECOND_SPARE);
    let mut good = machine(local, task, both);
    good.halt();
    let state = good.state();
    assert_eq!((state.ldt.base, state.ldt.limit, state.tr.base), (DATA, 0x17, OTHER));
    assert_eq!((state.general[reg::RCX], state.general[reg::RBX]), (SPARE.into(), SECOND_SPARE.into()));
    // The task is busy now, and cannot be loaded again.
    assert_eq!(good.kind(SECOND_SPARE), 0x8B);
    let none = u32::from(SPARE);
    let second = u32::from(SECOND_SPARE);
    for (local, task, selectors, expected) in [
        (task, task, both, (13, none)),
        (local & !PRESENT, task, both, (11, none)),
        (local, task, (SPARE | 4, SECOND_SPARE), (13, none | 4)),
        (local, task | 2 << 40, both, (13, second)),
        (local, task & !PRESENT, both, (11, second)),
        (local, task, (0, 0), (13, 0)),
    ] {
        let (vector, code, _) = machine(local, task, selectors).fault();
        assert_eq!((vector, code), expected);
    }
    let mut narrow = Machine::new(0, &[0x0F, 0x00, 0xD0]);
    narrow.change(|state| state.flags |= 1 << 17);
    narrow.change(|state| state.segments[seg::SS].rights = Rights(0xF3));
    assert_eq!(narrow.vector(), 6, "virtual-8086 mode has no LLDT");
}

#[test]
fn control_registers_refuse_what_cannot_be() {
    // `mov cr0, eax`: PG without PE, NW without CD.
    for value in [0x8000_0000_u32, 0x2000_0001] {
        let mut machine = Machine::new(0, &[0x0F, 0x22, 0xC0]);
        machine.change(|state| state.general[0] = value.into());
        assert_eq!(machine.fault(), (13, 0, CODE as u32), "{value:#x}");
    }
    // `mov cr4, eax`: a bit that CPUID does not have.
    let mut machine = Machine::new(0, &[0x0F, 0x22, 0xE0]);
    machine.change(|state| state.general[0] = 1 << 18);
    assert_eq!(machine.fault(), (13, 0, CODE as u32));
    // CR1 is none.
    assert_eq!(Machine::new(0, &[0x0F, 0x22, 0xC8]).vector(), 6);
    // CR0 to CR4 come back; ET is always set.
    let mut machine =
        run(&[0x0F, 0x22, 0xC0, 0x0F, 0x20, 0xC1, 0x0F, 0x22, 0xD2, 0x0F, 0x20, 0xD3], |state| {
            (state.general[reg::RAX], state.general[reg::RDX]) = (0x2B, 0x1234);
        });
    let state = machine.state();
    assert_eq!((state.general[reg::RCX], state.general[reg::RBX], state.cr2), (0x3B, 0x1234, 0x1234));
    // `lmsw ax` sets PE to TS and cannot clear PE; `smsw ecx`; `clts`.
    let mut machine =
        run(&[0x0F, 0x01, 0xF0, 0x0F, 0x01, 0xE1, 0x0F, 0x06], |state| state.general[0] = 0xFFFE);
    let state = machine.state();
    assert_eq!((state.general[reg::RCX] & 0xFFFF, state.cr0 & 0xF), (0x1F, 0x7));
}

#[test]
fn debug_registers_have_their_fixed_bits() {
    // `mov dr6, eax`, `mov ecx, dr4`, `mov dr7, edx`, `mov ebx, dr5`, `mov dr0, eax`.
    let code = [0x0F, 0x23, 0xF0, 0x0F, 0x21, 0xE1, 0x0F, 0x23, 0xFA, 0x0F, 0x21, 0xEB, 0x0F, 0x23, 0xC0];
    let mut machine = run(&code, |state| (state.general[reg::RAX], state.general[reg::RDX]) = (0, 0));
    let state = machine.state();
    assert_eq!((state.general[reg::RCX], state.general[reg::RBX]), (0xFFFF_0FF0, 0x400));
    // CR4.DE makes DR4 undefined.
    let mut machine = Machine::new(0, &[0x0F, 0x21, 0xE1]);
    machine.change(|state| state.cr4 |= 1 << 3);
    assert_eq!(machine.vector(), 6);
}

/// `wrmsr`, `xor eax, eax`, `xor edx, edx`, `rdmsr`.
const MSR: [u8; 8] = [0x0F, 0x30, 0x31, 0xC0, 0x31, 0xD2, 0x0F, 0x32];

#[test]
fn model_specific_registers_keep_what_they_can() {
    let set = |register: u64, value: u64| {
        move |state: &mut CpuState| {
            state.general[reg::RCX] = register;
            (state.general[reg::RAX], state.general[reg::RDX]) = (value & 0xFFFF_FFFF, value >> 32);
        }
    };
    let value = 0x7FFF_1234_5678;
    for (register, kept) in [
        (0x174, value),
        (0x175, value),
        (0x176, value),
        (0xC000_0081, value),
        (0xC000_0082, value),
        (0xC000_0083, value),
        (0xC000_0084, value & 0xFFFF_FFFF),
        (0xC000_0100, value),
        (0xC000_0101, value),
        (0xC000_0102, value),
        (0xC000_0103, value & 0xFFFF_FFFF),
    ] {
        let state = run(&MSR, set(register, value)).state();
        assert_eq!(state.general[reg::RDX] << 32 | state.general[reg::RAX], kept, "{register:#x}");
    }
    // A register that is not there, an address that is not canonical, a reserved bit of EFER.
    for (register, value) in [(0x1A0, 0), (0xC000_0082, 1 << 47), (0xC000_0080, 2)] {
        let mut machine = Machine::new(0, &MSR);
        machine.change(set(register, value));
        assert_eq!(machine.fault(), (13, 0, CODE as u32), "{register:#x}");
    }
    // LMA of EFER is the CPU's.
    let state = run(&MSR, set(0xC000_0080, 0xD01)).state();
    assert_eq!((state.general[reg::RAX], state.efer), (0x901, 0x901));
}

#[test]
fn cpuid_has_leaves_up_to_those_it_names() {
    let leaf = |leaf: u64| {
        let state =
            run(&[0x0F, 0xA2], |state| (state.general[reg::RAX], state.general[reg::RCX]) = (leaf, 0))
                .state();
        [reg::RAX, reg::RBX, reg::RCX, reg::RDX].map(|register| state.general[register])
    };
    assert_eq!(leaf(0)[0], 7);
    // SSE2, PAE; CMPXCHG16B; SMEP and SMAP; long mode and NX; 40 and 48 bits of addresses.
    assert_eq!(leaf(1)[3] & (1 << 26 | 1 << 6), 1 << 26 | 1 << 6);
    assert_ne!(leaf(1)[2] & 1 << 13, 0);
    assert_eq!(leaf(7)[1] & (1 << 7 | 1 << 20), 1 << 7 | 1 << 20);
    assert_eq!(leaf(0x8000_0000)[0], 0x8000_0008);
    assert_eq!(leaf(0x8000_0001)[3] & (1 << 29 | 1 << 20), 1 << 29 | 1 << 20);
    assert_eq!(leaf(0x8000_0008)[0], 0x3028);
    assert_eq!(leaf(0x4000_0000), [0; 4]);
}

#[test]
fn sysenter_and_sysexit_change_the_level_without_a_gate() {
    let set = |state: &mut CpuState| {
        let msrs = &mut state.msrs;
        (msrs.sysenter_cs, msrs.sysenter_esp, msrs.sysenter_eip) = (CODE_0.into(), INNER, TARGET);
        (state.general[reg::RDX], state.general[reg::RCX]) = (CODE + 2, STACK - 8);
    };
    let mut machine = Machine::new(3, &[0x0F, 0x34, 0xF4]);
    // HLT, and `sysexit`.
    machine.put(TARGET + 1, &[0x0F, 0x35]);
    machine.change(set);
    assert_eq!(machine.halt(), TARGET);
    let state = machine.state();
    assert_eq!((state.general[reg::RSP], state.segments[seg::CS].selector), (INNER, CODE_0));
    assert_eq!((state.segments[seg::SS].selector, state.privilege()), (DATA_0, 0));
    assert_eq!(machine.fault(), (13, 0, CODE as u32 + 2));
    let [_, _, code, _, pointer, stack] = machine.stack();
    assert_eq!((code, pointer, stack), (CODE_3.into(), STACK as u32 - 8, DATA_3.into()));
    // Without a selector there is neither.
    assert_eq!(Machine::new(3, &[0x0F, 0x34]).fault(), (13, 0, CODE as u32));
    assert_eq!(Machine::new(0, &[0x0F, 0x35]).fault(), (13, 0, CODE as u32));
}

/// A machine in 64-bit code.
fn long(code: &[u8]) -> Machine {
    const TABLES: u32 = 0xA000;
    let mut machine = Machine::new(0, code);
    machine.put(TABLES.into(), &four_levels(TABLES));
    let mut state = CpuState::flat(CpuMode::Long, CODE as u32, STACK as u32, TABLES);
    state.efer |= 1;
    state.msrs.lstar = TARGET;
    state.msrs.star = u64::from(CODE_0) << 32 | u64::from(CODE_3) << 48;
    state.msrs.fmask = 0x200;
    state.flags |= 0x201;
    machine.0.set_state(&state).unwrap();
    machine
}

#[test]
fn syscall_and_sysret_change_the_level_in_long_mode() {
    let mut machine = long(&[0x0F, 0x05]);
    // HLT, `sysretq`.
    machine.put(TARGET + 1, &[0x48, 0x0F, 0x07]);
    assert_eq!(machine.halt(), TARGET);
    let state = machine.state();
    assert_eq!((state.general[reg::RCX], state.general[11], state.flags), (CODE + 2, 0x203, 3));
    assert_eq!((state.segments[seg::CS].selector, state.segments[seg::SS].selector), (CODE_0, DATA_0));
    machine.0.run(Until::Step).unwrap();
    let state = machine.state();
    assert_eq!((state.ip, state.flags, state.privilege()), (CODE + 2, 0x203, 3));
    assert_eq!((state.segments[seg::CS].selector, state.segments[seg::SS].selector), (CODE_3 + 16, DATA_3));
    // EFER.SCE turns both off.
    for code in [&[0x0F, 0x05][..], &[0x48, 0x0F, 0x07]] {
        let mut machine = long(code);
        machine.change(|state| (state.efer, state.idt.limit) = (state.efer & !1, 0));
        assert_eq!(machine.0.run(Until::Count(1)).unwrap(), Exit::Shutdown);
    }
}

#[test]
fn swapgs_exchanges_the_bases() {
    let mut machine = long(&[0x0F, 0x01, 0xF8, 0xF4]);
    machine.change(|state| (state.segments[seg::GS].base, state.msrs.kernel_gs_base) = (1, 2));
    machine.halt();
    let state = machine.state();
    assert_eq!((state.segments[seg::GS].base, state.msrs.kernel_gs_base), (2, 1));
}

#[test]
fn reserved_bits_of_control_registers_are_refused() {
    // `mov cr0, rax`, `mov cr3, rax`, `mov cr8, rax`. An address has 40 bits.
    for (code, bits) in
        [(&[0x0F, 0x22, 0xC0][..], 32..64), (&[0x0F, 0x22, 0xD8], 40..64), (&[0x44, 0x0F, 0x22, 0xC0], 4..64)]
    {
        for bit in bits {
            let mut machine = long(code);
            machine.change(|state| (state.general[reg::RAX], state.idt.limit) = (1 << bit, 0));
            assert_eq!(machine.0.run(Until::Count(1)).unwrap(), Exit::Shutdown, "{code:x?}, bit {bit}");
        }
    }
}

#[test]
fn the_task_priority_is_kept() {
    // `mov cr8, rdx`, `mov rcx, cr8`.
    let mut machine = long(&[0x44, 0x0F, 0x22, 0xC2, 0x44, 0x0F, 0x20, 0xC1, 0xF4]);
    machine.change(|state| (state.general[reg::RDX], state.general[reg::RCX]) = (15, 7));
    machine.halt();
    assert_eq!((machine.state().general[reg::RCX], machine.state().cr8), (15, 15));
    // There is no interrupt controller that holds an interrupt back.
    machine.change(|state| state.flags |= 0x200);
    assert!(machine.0.interrupt(0x20).unwrap());
}

#[test]
fn selectors_are_looked_at_without_a_fault() {
    // `lar ecx, eax`, `setz dl`, `lsl ebx, eax`, `verr ax`, `setz dh`, `verw ax`, `setz al`.
    let code = [
        0x0F, 0x02, 0xC8, 0x0F, 0x94, 0xC2, 0x0F, 0x03, 0xD8, 0x0F, 0x00, 0xE0, 0x0F, 0x94, 0xC6, 0x0F, 0x00,
        0xE8, 0x0F, 0x94, 0xC0, 0xF4,
    ];
    let look = |level: u8, selector: u16, descriptor: u64| {
        let mut machine = Machine::new(level, &code);
        machine.describe(SPARE, descriptor);
        machine.change(|state| (state.general[reg::RAX], state.general[reg::RCX]) = (selector.into(), 7));
        machine.0.run(Until::Count(7)).unwrap();
        let general = machine.state().general;
        let bits = [general[reg::RDX] & 1, general[reg::RDX] >> 8 & 1, general[reg::RAX] & 1];
        (bits, general[reg::RCX], general[reg::RBX])
    };
    assert_eq!(look(0, SPARE, FLAT_DATA_0), ([1, 1, 1], 0xCF_9300 & 0xF0_FF00, 0xFFFF_FFFF));
    assert_eq!(look(0, SPARE, FLAT_CODE_0), ([1, 1, 0], 0xCF_9B00 & 0xF0_FF00, 0xFFFF_FFFF));
    assert_eq!(look(0, SPARE, system(2, DATA, 0x17)), ([1, 0, 0], 0x8200, 0x17));
    assert_eq!(look(0, SPARE, gate(CALL_GATE, CODE_0, 0, 0)), ([1, 0, 0], 0x8C00, 0));
    assert_eq!(look(0, SPARE, system(INTERRUPT_GATE, 0, 0)), ([0, 0, 0], 7, 0));
    assert_eq!(look(0, 0, 0), ([0, 0, 0], 7, 0));
    assert_eq!(look(0, 0x78, 0), ([0, 0, 0], 7, 0));
    assert_eq!(look(3, SPARE, FLAT_DATA_0), ([0, 0, 0], 7, 0));
    assert_eq!(look(3, SPARE, FLAT_CODE_0 | 1 << 42), ([1, 1, 0], 0xCF_9F00 & 0xF0_FF00, 0xFFFF_FFFF));
}
