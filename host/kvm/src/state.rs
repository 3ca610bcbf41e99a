//! The state in which a vCPU starts (Intel SDM volume 3A, 2.5 "Control Registers", 3.4.5 "Segment
//! Descriptors"). Control bits are the `x86_64` crate's.

use guest_abi::mode::CpuMode;
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use x86_64::registers::{
    control::{Cr0Flags, Cr4Flags, EferFlags},
    rflags::RFlags,
};

/// Where and how a vCPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuState {
    /// The mode.
    pub mode: CpuMode,
    /// The instruction pointer.
    pub entry: u32,
    /// The stack pointer.
    pub stack: u32,
    /// The guest-physical address of the top page table, for modes with paging.
    pub page_table: u32,
    /// EAX and EBX, by which a boot loader speaks.
    pub eax_ebx: (u32, u32),
    /// The tables that it starts with. Without any, the first exception outside of real mode shuts the CPU down.
    pub tables: Option<Tables>,
}

/// The tables of descriptors that a CPU starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The segments (GDT); `None` as after reset.
    pub segments: Option<Table>,
    /// The vectors (IDT).
    pub vectors: Table,
    /// In long mode: the selector and the linear address of the task-state segment.
    pub task: Option<(u16, u32)>,
}

/// A table of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The linear address.
    pub start: u32,
    /// The offset of the last byte.
    pub limit: u16,
}

impl From<Table> for kvm_dtable {
    fn from(Table { start, limit }: Table) -> Self {
        Self { base: start.into(), limit, ..Self::default() }
    }
}

impl CpuState {
    /// Real mode at `entry` with all segments at 0: how `guest-rt`'s boot code starts.
    pub fn real(entry: u16) -> Self {
        Self {
            mode: CpuMode::Real,
            entry: entry.into(),
            stack: 0,
            page_table: 0,
            eax_ebx: (0, 0),
            tables: None,
        }
    }

    /// The general registers.
    pub(super) fn regs(self, regs: kvm_regs) -> kvm_regs {
        kvm_regs {
            rip: self.entry.into(),
            rsp: self.stack.into(),
            rax: self.eax_ebx.0.into(),
            rbx: self.eax_ebx.1.into(),
            // Bit 1 is always set (SDM volume 1, 3.4.3); interrupts are off.
            rflags: RFlags::empty().bits() | 1 << 1,
            ..regs
        }
    }

    /// The system registers: those of a CPU after reset, but for what the mode needs.
    pub(super) fn sregs(self, mut sregs: kvm_sregs) -> kvm_sregs {
        let (code, data) = match self.mode {
            CpuMode::Real => (real(sregs.cs), real(sregs.ds)),
            CpuMode::Protected | CpuMode::Paged => (flat(CODE, Bits::B32), flat(DATA, Bits::B32)),
            CpuMode::Long => (flat(CODE, Bits::B64), flat(DATA, Bits::B32)),
        };
        sregs.cs = code;
        for segment in [&mut sregs.ds, &mut sregs.es, &mut sregs.fs, &mut sregs.gs, &mut sregs.ss] {
            *segment = data;
        }
        let (cr0, cr4, efer) = self.control();
        // Bit 4 is always set (SDM 3A, 2.5); the caches are on.
        sregs.cr0 = Cr0Flags::EXTENSION_TYPE.union(cr0).bits();
        sregs.cr4 |= cr4.bits();
        sregs.efer |= efer.bits();
        sregs.cr3 = self.page_table.into();
        if let Some(Tables { segments, vectors, task }) = self.tables {
            sregs.gdt = segments.map_or(sregs.gdt, Into::into);
            sregs.idt = vectors.into();
            sregs.tr = task.map_or(sregs.tr, task_segment);
        } else if self.mode != CpuMode::Real {
            // Not even the first vector is whole: an exception shuts the CPU down at once. The table
            // of a CPU after reset is real mode's, which other modes would misread.
            sregs.idt.limit = 0;
        }
        sregs
    }

    /// The control bits that the mode sets.
    fn control(self) -> (Cr0Flags, Cr4Flags, EferFlags) {
        let protected = Cr0Flags::PROTECTED_MODE_ENABLE;
        let paged = protected.union(Cr0Flags::PAGING);
        match self.mode {
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
}

/// The registers, for a person to read.
pub(super) fn describe(regs: &kvm_regs, sregs: &kvm_sregs) -> String {
    let rows = [
        [("rax", regs.rax), ("rbx", regs.rbx), ("rcx", regs.rcx), ("rdx", regs.rdx)],
        [("rsi", regs.rsi), ("rdi", regs.rdi), ("rbp", regs.rbp), ("rsp", regs.rsp)],
        [("r8", regs.r8), ("r9", regs.r9), ("r10", regs.r10), ("r11", regs.r11)],
        [("r12", regs.r12), ("r13", regs.r13), ("r14", regs.r14), ("r15", regs.r15)],
        [("rip", regs.rip), ("rfl", regs.rflags), ("cr0", sregs.cr0), ("cr2", sregs.cr2)],
        [("cr3", sregs.cr3), ("cr4", sregs.cr4), ("efr", sregs.efer), ("", 0)],
    ];
    let cell = |(name, value): &(&str, u64)| match *name {
        "" => String::new(),
        name => format!("{name:<3} {value:016x}"),
    };
    let rows = rows.map(|row| row.iter().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned());
    let segments = [
        ("cs", sregs.cs),
        ("ds", sregs.ds),
        ("es", sregs.es),
        ("fs", sregs.fs),
        ("gs", sregs.gs),
        ("ss", sregs.ss),
    ];
    let segment = |(name, s): (&str, kvm_segment)| {
        format!("{name}  {:04x} base {:x} limit {:x}", s.selector, s.base, s.limit)
    };
    rows.into_iter().chain(segments.map(segment)).collect::<Vec<_>>().join("\n")
}

/// A real-mode segment at 0.
fn real(after_reset: kvm_segment) -> kvm_segment {
    kvm_segment { base: 0, selector: 0, ..after_reset }
}

/// The selector and the type (SDM 3A, 3.4.5.1) of a segment: execute/read, or read/write, accessed.
const CODE: (u16, u8) = (1 << 3, 0b1011);
const DATA: (u16, u8) = (2 << 3, 0b0011);

#[derive(PartialEq)]
enum Bits {
    B32,
    B64,
}

/// The task-state segment of 64-bit mode (SDM volume 3A, 7.7), in use.
fn task_segment((selector, start): (u16, u32)) -> kvm_segment {
    const SIZE: u32 = 104;
    const BUSY: u8 = 0b1011;
    kvm_segment {
        base: start.into(),
        limit: SIZE - 1,
        selector,
        type_: BUSY,
        present: 1,
        ..kvm_segment::default()
    }
}

/// A segment that reaches all of memory.
fn flat((selector, type_): (u16, u8), bits: Bits) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        dpl: 0,
        db: u8::from(bits == Bits::B32),
        s: 1,
        l: u8::from(bits == Bits::B64),
        g: 1,
        avl: 0,
        unusable: 0,
        padding: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sregs(mode: CpuMode) -> kvm_sregs {
        CpuState { mode, ..CpuState::real(0x7000) }.sregs(kvm_sregs::default())
    }

    #[test]
    fn each_mode_has_its_control_bits() {
        let bits = |mode| {
            let s = sregs(mode);
            (s.cr0, s.cr4, s.efer)
        };
        assert_eq!(bits(CpuMode::Real), (0x10, 0, 0));
        assert_eq!(bits(CpuMode::Protected), (0x11, 0, 0));
        assert_eq!(bits(CpuMode::Paged), (0x8000_0011, 0x10, 0));
        assert_eq!(bits(CpuMode::Long), (0x8000_0011, 0x20, 0x500));
    }

    #[test]
    fn code_segments_say_how_wide_code_is() {
        let bits = |mode| {
            let cs = sregs(mode).cs;
            (cs.db, cs.l, cs.base)
        };
        assert_eq!(bits(CpuMode::Real), (0, 0, 0));
        assert_eq!(bits(CpuMode::Protected), (1, 0, 0));
        assert_eq!(bits(CpuMode::Long), (0, 1, 0));
    }

    #[test]
    fn registers_are_described_with_their_names() {
        let regs = kvm_regs { rax: 0x2A, ..Default::default() };
        let text = describe(&regs, &sregs(CpuMode::Protected));
        assert!(text.starts_with("rax 000000000000002a  rbx 0000000000000000  "), "{text}");
        assert!(
            text.contains("cr0 0000000000000011") && text.contains("cs  0008 base 0 limit ffffffff"),
            "{text}"
        );
    }

    #[test]
    fn registers_are_what_was_asked_for() {
        let state =
            CpuState { mode: CpuMode::Protected, entry: 5, stack: 6, eax_ebx: (7, 8), ..CpuState::real(0) };
        let regs = state.regs(kvm_regs::default());
        assert_eq!((regs.rip, regs.rsp, regs.rax, regs.rbx, regs.rflags), (5, 6, 7, 8, 2));
    }
}
