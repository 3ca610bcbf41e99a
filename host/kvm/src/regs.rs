//! KVM's register structures and [`CpuState`], both ways (KVM API, 4.11 `KVM_GET_REGS` and its kin).

use guestlab_cpu::{CpuState, Msrs, Rights, Segment, Table};
use kvm_bindings::{kvm_debugregs, kvm_dtable, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs};

/// Returns the general registers, the instruction pointer and the flags.
pub(crate) fn general(state: &CpuState) -> kvm_regs {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = state.general;
    let (rip, rflags) = (state.ip, state.flags);
    kvm_regs { rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags }
}

/// The value of IA32_APIC_BASE after reset, which KVM's system registers contain: the address of the local APIC, enabled, of
/// the first processor (Intel SDM volume 3A, 11.4.4 and table 10-1).
const APIC_BASE: u64 = 0xFEE0_0000 | 1 << 11 | 1 << 8;

/// Returns the system registers.
pub(crate) fn system(state: &CpuState) -> kvm_sregs {
    let [es, cs, ss, ds, fs, gs] = state.segments.map(write_segment);
    kvm_sregs {
        cs,
        ds,
        es,
        fs,
        gs,
        ss,
        tr: write_segment(state.tr),
        ldt: write_segment(state.ldt),
        gdt: write_table(state.gdt),
        idt: write_table(state.idt),
        cr0: state.cr0,
        cr2: state.cr2,
        cr3: state.cr3,
        cr4: state.cr4,
        cr8: state.cr8,
        efer: state.efer,
        apic_base: APIC_BASE,
        ..kvm_sregs::default()
    }
}

/// Returns the state that KVM's registers have. The rest of it is that of a reset.
pub(crate) fn state(regs: &kvm_regs, sregs: &kvm_sregs) -> CpuState {
    let (r, s) = (regs, sregs);
    CpuState {
        general: [
            r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
            r.r14, r.r15,
        ],
        ip: r.rip,
        flags: r.rflags,
        segments: [s.es, s.cs, s.ss, s.ds, s.fs, s.gs].map(read_segment),
        gdt: read_table(s.gdt),
        idt: read_table(s.idt),
        tr: read_segment(s.tr),
        ldt: read_segment(s.ldt),
        cr0: s.cr0,
        cr2: s.cr2,
        cr3: s.cr3,
        cr4: s.cr4,
        cr8: s.cr8,
        efer: s.efer,
        ..CpuState::reset()
    }
}

/// Returns a segment in KVM's form.
pub(crate) fn write_segment(Segment { selector, base, limit, rights }: Segment) -> kvm_segment {
    let bit = |index: u32| (rights.0 >> index & 1) as u8;
    kvm_segment {
        base,
        limit,
        selector,
        type_: (rights.0 & 0xF) as u8,
        present: bit(7),
        dpl: rights.privilege(),
        db: bit(14),
        s: bit(4),
        l: bit(13),
        g: bit(15),
        avl: bit(12),
        unusable: bit(16),
        padding: 0,
    }
}

fn read_segment(segment: kvm_segment) -> Segment {
    let kvm_segment { base, limit, selector, type_, present, dpl, db, s, l, g, avl, unusable, .. } = segment;
    let bits =
        [(type_, 0), (s, 4), (dpl, 5), (present, 7), (avl, 12), (l, 13), (db, 14), (g, 15), (unusable, 16)];
    let rights = bits.iter().fold(0, |rights, &(value, index)| rights | u32::from(value) << index);
    Segment { selector, base, limit, rights: Rights(rights) }
}

fn write_table(Table { base, limit }: Table) -> kvm_dtable {
    kvm_dtable { base, limit, ..kvm_dtable::default() }
}

fn read_table(table: kvm_dtable) -> Table {
    Table { base: table.base, limit: table.limit }
}

/// Returns DR0 to DR3, DR6 and DR7 at their own indexes.
pub(crate) fn read_debug(registers: &kvm_debugregs) -> [u64; 8] {
    let [a, b, c, d] = registers.db;
    [a, b, c, d, 0, 0, registers.dr6, registers.dr7]
}

/// Returns the debug registers in KVM's form.
pub(crate) fn write_debug(registers: &[u64; 8]) -> kvm_debugregs {
    let [a, b, c, d, _, _, dr6, dr7] = *registers;
    kvm_debugregs { db: [a, b, c, d], dr6, dr7, ..kvm_debugregs::default() }
}

/// The number of model-specific registers in [`Msrs`].
pub(crate) const MSR_COUNT: usize = 9;

/// Returns the model-specific registers, by number and value (Intel SDM volume 4, 2.1).
pub(crate) fn msrs(msrs: &Msrs) -> [kvm_msr_entry; MSR_COUNT] {
    let Msrs { star, lstar, cstar, fmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, tsc_aux } =
        *msrs;
    [
        (0xC000_0081, star),
        (0xC000_0082, lstar),
        (0xC000_0083, cstar),
        (0xC000_0084, fmask),
        (0xC000_0102, kernel_gs_base),
        (0x174, sysenter_cs),
        (0x175, sysenter_esp),
        (0x176, sysenter_eip),
        // Not every machine has this register: KVM stops at the first unknown one, so it must be the last.
        (0xC000_0103, tsc_aux),
    ]
    .map(|(index, data)| kvm_msr_entry { index, data, ..Default::default() })
}

/// Returns the model-specific registers from [`msrs`]' entries, with the values that KVM filled in. Entries that KVM does
/// not have are missing at the end.
pub(crate) fn read_msrs(entries: &[kvm_msr_entry]) -> Msrs {
    let value = |index: usize| entries.get(index).map_or(0, |entry| entry.data);
    Msrs {
        star: value(0),
        lstar: value(1),
        cstar: value(2),
        fmask: value(3),
        kernel_gs_base: value(4),
        sysenter_cs: value(5),
        sysenter_esp: value(6),
        sysenter_eip: value(7),
        tsc_aux: value(8),
    }
}

#[cfg(test)]
mod tests {
    use guest_abi::mode::CpuMode;

    use super::*;

    #[test]
    fn a_state_comes_back_from_kvm_as_it_went() {
        for mode in CpuMode::ALL {
            let mut before = CpuState::flat(mode, 0x7000, 0x8000, 0x1000);
            before.general = std::array::from_fn(|index| index as u64 + 1);
            before.segments[2].rights = Rights(before.segments[2].rights.0 | 3 << 5 | 1 << 12 | 1 << 16);
            (before.gdt.base, before.idt.base, before.cr2) = (0x500, 0x600, 0x700);
            assert_eq!(state(&general(&before), &system(&before)), before, "{mode:?}");
        }
    }

    #[test]
    fn the_other_registers_come_back_as_they_went() {
        let debug = [1, 2, 3, 4, 0, 0, 6, 7];
        assert_eq!(read_debug(&write_debug(&debug)), debug);
        let all = Msrs {
            star: 1,
            lstar: 2,
            cstar: 3,
            fmask: 4,
            kernel_gs_base: 5,
            sysenter_cs: 6,
            sysenter_esp: 7,
            sysenter_eip: 8,
            tsc_aux: 9,
        };
        assert_eq!(read_msrs(&msrs(&all)), all);
        assert_eq!(read_msrs(&msrs(&all)[..8]), Msrs { tsc_aux: 0, ..all });
    }
}
