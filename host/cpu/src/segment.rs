//! Segments and descriptor tables (Intel SDM volume 3A, 3.4 and 3.5).

use core::fmt;

use x86_64::structures::gdt::DescriptorFlags;

/// A segment register with its hidden part (Intel SDM volume 3A, 3.4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Segment {
    /// The selector.
    pub selector: u16,
    /// The linear address of the segment's first byte.
    pub base: u64,
    /// The highest offset, in bytes, whatever the granularity. For expand-down segments it is the lowest offset minus 1.
    pub limit: u32,
    /// The type and the flags of the descriptor.
    pub rights: Rights,
}

/// The access rights of a segment: bits 40 to 47 and 52 to 55 of its descriptor at bits 0 to 7 and 12 to 15, and an
/// "unusable" flag at bit 16 (the layout of Intel SDM volume 3C, 25.4.1 "Guest Register State").
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rights(pub u32);

impl Rights {
    /// The four bits of the type.
    pub const TYPE: Self = Self(0xF);
    /// Type bit 0: the segment was accessed.
    pub const ACCESSED: Self = Self::of(DescriptorFlags::ACCESSED);
    /// Type bit 1: data can be written, or code can be read.
    pub const WRITABLE: Self = Self::of(DescriptorFlags::WRITABLE);
    /// Type bit 2: data expands down, or code is conforming.
    pub const CONFORMING: Self = Self::of(DescriptorFlags::CONFORMING);
    /// Type bit 3: the segment is code.
    pub const EXECUTABLE: Self = Self::of(DescriptorFlags::EXECUTABLE);
    /// S: the segment is code or data, and not a system segment.
    pub const CODE_OR_DATA: Self = Self::of(DescriptorFlags::USER_SEGMENT);
    /// P: the segment is present.
    pub const PRESENT: Self = Self::of(DescriptorFlags::PRESENT);
    /// L: 64-bit code.
    pub const LONG: Self = Self::of(DescriptorFlags::LONG_MODE);
    /// D/B: 32-bit code, or a stack whose pointer is ESP.
    pub const BIG: Self = Self::of(DescriptorFlags::DEFAULT_SIZE);
    /// G: the limit counts pages of 4 KiB.
    pub const GRANULAR: Self = Self::of(DescriptorFlags::GRANULARITY);
    /// The segment must not be used: a null selector was loaded.
    pub const UNUSABLE: Self = Self(1 << 16);

    pub(crate) const DATA: Self =
        Self::PRESENT.with(Self::CODE_OR_DATA).with(Self::WRITABLE).with(Self::ACCESSED);
    pub(crate) const REAL_DATA: Self = Self::DATA;
    pub(crate) const REAL_CODE: Self = Self::DATA.with(Self::EXECUTABLE);
    pub(crate) const FLAT_DATA: Self = Self::DATA.with(Self::BIG).with(Self::GRANULAR);
    pub(crate) const FLAT_CODE: Self = Self::FLAT_DATA.with(Self::EXECUTABLE);
    pub(crate) const FLAT_CODE_64: Self = Self::REAL_CODE.with(Self::LONG).with(Self::GRANULAR);
    /// A busy 32-bit task state segment (Intel SDM volume 3A, table 3-2).
    pub const BUSY_TSS: Self = Self::PRESENT.with(Self(0xB));
    /// A local descriptor table.
    pub(crate) const LDT: Self = Self::PRESENT.with(Self(0x2));

    const fn of(flags: DescriptorFlags) -> Self {
        Self::from_descriptor(flags.bits())
    }

    /// Returns the rights of an 8-byte segment descriptor (Intel SDM volume 3A, figure 3-8).
    pub const fn from_descriptor(descriptor: u64) -> Self {
        Self(((descriptor >> 40) & 0xF0FF) as u32)
    }

    /// Returns these rights and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns true if all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the descriptor privilege level, 0 to 3.
    pub const fn privilege(self) -> u8 {
        (self.0 >> 5 & 3) as u8
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A descriptor table's register: GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Table {
    /// The linear address of the table.
    pub base: u64,
    /// The offset of its last byte.
    pub limit: u16,
}
