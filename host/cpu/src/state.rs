//! The state of one x86 CPU, as plain data (Intel SDM volume 3A, 2.1 and 3.4).

use core::fmt;

use guest_abi::mode::CpuMode;
use x86_64::registers::{
    control::{Cr0Flags, Cr4Flags, EferFlags},
    rflags::RFlags,
};

use crate::{
    fpu::{FpuState, Msrs},
    segment::{Rights, Segment, Table},
};

/// The whole state of one CPU between two instructions.
///
/// Two engines that execute the same code from the same state end in equal states.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CpuState {
    /// The general registers in the order of their encoding: RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
    pub general: [u64; 16],
    /// RIP: the offset of the next instruction in the code segment.
    pub ip: u64,
    /// RFLAGS.
    pub flags: u64,
    /// The segments in the order of their encoding: ES, CS, SS, DS, FS, GS.
    pub segments: [Segment; 6],
    /// The global descriptor table.
    pub gdt: Table,
    /// The interrupt descriptor table. In real mode it is the interrupt vector table.
    pub idt: Table,
    /// The task register.
    pub tr: Segment,
    /// The local descriptor table's register.
    pub ldt: Segment,
    /// CR0.
    pub cr0: u64,
    /// CR2: the linear address of the last page fault.
    pub cr2: u64,
    /// CR3: the guest-physical address of the top page table, with its flags.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8: the priority, 0 to 15, up to which a local interrupt controller holds interrupts back. There is none.
    pub cr8: u64,
    /// The model-specific register IA32_EFER.
    pub efer: u64,
    /// DR0 to DR3, DR6 and DR7 at their own indexes. DR4 and DR5 do not exist and are 0.
    pub debug: [u64; 8],
    /// The model-specific registers that code without an operating system of its own uses.
    pub msrs: Msrs,
    /// The x87 and SSE registers.
    pub fpu: FpuState,
    /// Interrupts and debug exceptions are inhibited until the end of the next instruction, after `sti`, `mov ss` or
    /// `pop ss` (Intel SDM volume 3A, 6.8.3).
    pub shadow: bool,
}

/// Indexes into [`CpuState::general`].
#[expect(missing_docs, reason = "the names are those of the registers")]
pub mod reg {
    pub const RAX: usize = 0;
    pub const RCX: usize = 1;
    pub const RDX: usize = 2;
    pub const RBX: usize = 3;
    pub const RSP: usize = 4;
    pub const RBP: usize = 5;
    pub const RSI: usize = 6;
    pub const RDI: usize = 7;
}

/// Indexes into [`CpuState::segments`].
#[expect(missing_docs, reason = "the names are those of the segment registers")]
pub mod seg {
    pub const ES: usize = 0;
    pub const CS: usize = 1;
    pub const SS: usize = 2;
    pub const DS: usize = 3;
    pub const FS: usize = 4;
    pub const GS: usize = 5;
}

impl CpuState {
    /// Returns the state after reset (Intel SDM volume 3A, table 10-1). EDX names a CPU of family 6, as with KVM.
    pub fn reset() -> Self {
        let data = Segment { selector: 0, base: 0, limit: 0xFFFF, rights: Rights::REAL_DATA };
        let code = Segment { selector: 0xF000, base: 0xFFFF_0000, rights: Rights::REAL_CODE, ..data };
        let table = Table { base: 0, limit: 0xFFFF };
        let mut debug = [0; 8];
        (debug[6], debug[7]) = (0xFFFF_0FF0, 0x400);
        let mut general = [0; 16];
        general[reg::RDX] = 0x600;
        Self {
            general,
            ip: 0xFFF0,
            flags: FIXED_FLAG,
            segments: [data, code, data, data, data, data],
            gdt: table,
            idt: table,
            tr: Segment { rights: Rights::BUSY_TSS, ..data },
            ldt: Segment { rights: Rights::LDT, ..data },
            cr0: Cr0Flags::CACHE_DISABLE
                .union(Cr0Flags::NOT_WRITE_THROUGH)
                .union(Cr0Flags::EXTENSION_TYPE)
                .bits(),
            cr2: 0,
            cr3: 0,
            cr4: 0,
            cr8: 0,
            efer: 0,
            debug,
            msrs: Msrs::default(),
            fpu: FpuState::reset(),
            shadow: false,
        }
    }

    /// Returns real mode at `entry` with all segments at 0. The boot code of guest-rt starts so.
    pub fn real(entry: u16) -> Self {
        let mut state = Self { ip: entry.into(), cr0: Cr0Flags::EXTENSION_TYPE.bits(), ..Self::reset() };
        (state.segments[seg::CS].selector, state.segments[seg::CS].base) = (0, 0);
        state
    }

    /// Returns a state with flat segments in `mode`, with interrupts off and without an interrupt table.
    ///
    /// `page_table` is the guest-physical address of the top page table. Modes without paging ignore it. For
    /// [`CpuMode::Real`] the state is that of [`real`](Self::real), with the low 16 bits of `entry`.
    pub fn flat(mode: CpuMode, entry: u32, stack: u32, page_table: u32) -> Self {
        let (cr0, cr4, efer) = control(mode);
        let mut state = Self {
            ip: entry.into(),
            cr0: Cr0Flags::EXTENSION_TYPE.union(cr0).bits(),
            cr3: if cr0.contains(Cr0Flags::PAGING) { page_table.into() } else { 0 },
            cr4: cr4.bits(),
            efer: efer.bits(),
            ..Self::real(0)
        };
        state.general[reg::RSP] = stack.into();
        if mode == CpuMode::Real {
            state.ip &= 0xFFFF;
            return state;
        }
        let segment = |selector, rights| Segment { selector, base: 0, limit: u32::MAX, rights };
        state.segments = [segment(2 << 3, Rights::FLAT_DATA); 6];
        let code = if mode == CpuMode::Long { Rights::FLAT_CODE_64 } else { Rights::FLAT_CODE };
        state.segments[seg::CS] = segment(1 << 3, code);
        // Not even the first vector is whole, so that an exception shuts the CPU down at once. The table after reset
        // is real mode's, which other modes would misread.
        state.idt.limit = 0;
        state
    }

    /// Returns the CPU mode.
    pub fn mode(&self) -> CpuMode {
        match (self.is_protected(), self.has_paging(), self.is_long()) {
            (false, _, _) => CpuMode::Real,
            (true, false, _) => CpuMode::Protected,
            (true, true, false) => CpuMode::Paged,
            (true, true, true) => CpuMode::Long,
        }
    }

    /// Returns the width of code in bits: 16, 32 or 64.
    pub fn bits(&self) -> u32 {
        let rights = self.segments[seg::CS].rights;
        match (rights.has(Rights::LONG), rights.has(Rights::BIG)) {
            (true, _) if self.is_long() => 64,
            (_, true) => 32,
            _ => 16,
        }
    }

    /// Returns true if CR0.PE is set.
    pub fn is_protected(&self) -> bool {
        self.cr0 & Cr0Flags::PROTECTED_MODE_ENABLE.bits() != 0
    }

    /// Returns true if CR0.PG is set.
    pub fn has_paging(&self) -> bool {
        self.cr0 & Cr0Flags::PAGING.bits() != 0
    }

    /// Returns true if EFER.LMA is set.
    pub fn is_long(&self) -> bool {
        self.efer & EferFlags::LONG_MODE_ACTIVE.bits() != 0
    }

    /// Returns true in virtual-8086 mode (Intel SDM volume 3B, 22.2).
    pub fn is_virtual_8086(&self) -> bool {
        self.is_protected() && !self.is_long() && self.flags & RFlags::VIRTUAL_8086_MODE.bits() != 0
    }

    /// Returns the current privilege level, 0 to 3: that of the stack segment (Intel SDM volume 3A, 5.5).
    pub fn privilege(&self) -> u8 {
        match self.is_protected() {
            true => self.segments[seg::SS].rights.privilege(),
            false => 0,
        }
    }

    /// Returns the linear address of `offset` in the segment with index `segment` ([`seg`]).
    ///
    /// In 64-bit code ES, CS, SS and DS begin at 0 (Intel SDM volume 1, 3.4.2.1). In other code the sum wraps at 4 GiB.
    pub fn linear(&self, segment: usize, offset: u64) -> u64 {
        match self.bits() {
            64 if segment < seg::FS => offset,
            64 => self.segments[segment].base.wrapping_add(offset),
            _ => self.segments[segment].base.wrapping_add(offset) & u64::from(u32::MAX),
        }
    }

    /// Returns the linear address of the next instruction.
    pub fn instruction(&self) -> u64 {
        self.linear(seg::CS, self.ip)
    }

    /// Returns the linear address of the top of the stack.
    pub fn stack(&self) -> u64 {
        self.linear(seg::SS, self.general[reg::RSP] & self.stack_mask())
    }

    /// Returns the state before a guest's first instruction in words, without the mode.
    pub fn start(&self) -> impl fmt::Display {
        let (ip, stack) = (self.instruction(), self.stack());
        fmt::from_fn(move |f| {
            write!(f, "the first instruction at {ip:#x}, the stack at {stack:#x}, interrupts off")
        })
    }

    /// Returns the bits of RSP that the stack uses: 16, 32 or 64 of them (Intel SDM volume 1, 6.2.3).
    pub fn stack_mask(&self) -> u64 {
        match (self.bits(), self.segments[seg::SS].rights.has(Rights::BIG)) {
            (64, _) => u64::MAX,
            (_, true) => u32::MAX.into(),
            (_, false) => u16::MAX.into(),
        }
    }
}

/// RFLAGS bit 1, which is always set (Intel SDM volume 1, 3.4.3).
const FIXED_FLAG: u64 = 1 << 1;

/// The control bits that a mode sets.
pub(crate) fn control(mode: CpuMode) -> (Cr0Flags, Cr4Flags, EferFlags) {
    let protected = Cr0Flags::PROTECTED_MODE_ENABLE;
    let paged = protected.union(Cr0Flags::PAGING);
    match mode {
        CpuMode::Real => (Cr0Flags::empty(), Cr4Flags::empty(), EferFlags::empty()),
        CpuMode::Protected => (protected, Cr4Flags::empty(), EferFlags::empty()),
        CpuMode::Paged => (paged, Cr4Flags::PAGE_SIZE_EXTENSION, EferFlags::empty()),
        CpuMode::Long => (
            paged,
            Cr4Flags::PHYSICAL_ADDRESS_EXTENSION,
            EferFlags::LONG_MODE_ENABLE.union(EferFlags::LONG_MODE_ACTIVE),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_knows_its_mode_and_the_width_of_its_code() {
        for (mode, bits) in
            [(CpuMode::Real, 16), (CpuMode::Protected, 32), (CpuMode::Paged, 32), (CpuMode::Long, 64)]
        {
            let state = CpuState::flat(mode, 0x7000, 0x8000, 0x1000);
            assert_eq!((state.mode(), state.bits(), state.ip), (mode, bits, 0x7000));
            assert_eq!(state.cr3, if state.has_paging() { 0x1000 } else { 0 });
        }
    }

    #[test]
    fn each_mode_has_its_control_bits() {
        let bits = |mode| {
            let s = CpuState::flat(mode, 0, 0, 0);
            (s.cr0, s.cr4, s.efer)
        };
        assert_eq!(bits(CpuMode::Real), (0x10, 0, 0));
        assert_eq!(bits(CpuMode::Protected), (0x11, 0, 0));
        assert_eq!(bits(CpuMode::Paged), (0x8000_0011, 0x10, 0));
        assert_eq!(bits(CpuMode::Long), (0x8000_0011, 0x20, 0x500));
    }

    #[test]
    fn linear_addresses_wrap_at_4_gib_outside_64_bit_code() {
        let mut state = CpuState::flat(CpuMode::Protected, 0xC000_000E, 0, 0);
        state.segments[seg::CS].base = 0x4000_0000;
        assert_eq!(state.instruction(), 0xE);
        let mut state = CpuState::flat(CpuMode::Long, 0xC000_000E, 0, 0);
        state.segments[seg::CS].base = 0x4000_0000;
        state.segments[seg::FS].base = 0xFFFF_FFFF;
        assert_eq!(state.instruction(), 0xC000_000E);
        assert_eq!(state.linear(seg::FS, 2), 0x1_0000_0001);
    }

    #[test]
    fn a_stack_uses_as_many_bits_of_its_pointer_as_its_segment_says() {
        let mut state = CpuState::real(0);
        state.general[reg::RSP] = 0x1_2345;
        state.segments[seg::SS].base = 0x1_0000;
        assert_eq!(state.stack(), 0x1_2345);
        let state = CpuState::flat(CpuMode::Protected, 0, 0x1_2345, 0);
        assert_eq!(state.stack(), 0x1_2345);
    }

    #[test]
    fn rights_have_the_bits_of_a_descriptor() {
        assert_eq!(Rights::from_descriptor(0x00CF_9B00_0000_FFFF), Rights::FLAT_CODE);
        assert_eq!(Rights::from_descriptor(0x00CF_9300_0000_FFFF), Rights::FLAT_DATA);
        assert_eq!(Rights::from_descriptor(0x00AF_9B00_0000_FFFF), Rights::FLAT_CODE_64);
        assert_eq!(Rights::from_descriptor(0x00CF_FB00_0000_FFFF).privilege(), 3);
    }
}
