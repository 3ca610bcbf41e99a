//! The segments that a guest runs with: code and data, all flat (Intel SDM volume 3A, 3.2.1 "Basic
//! Flat Model").

use x86_64::{
    PrivilegeLevel,
    structures::gdt::{DescriptorFlags, SegmentSelector},
};

/// A descriptor and the selector by which it is reached.
pub(crate) struct Segment {
    pub(crate) descriptor: u64,
    pub(crate) selector: u16,
}

/// 32-bit code.
pub(crate) const CODE32: Segment = segment(1, DescriptorFlags::KERNEL_CODE32);

/// Data, of every width.
pub(crate) const DATA: Segment = segment(2, DescriptorFlags::KERNEL_DATA);

/// 64-bit code.
pub(crate) const CODE64: Segment = segment(3, DescriptorFlags::KERNEL_CODE64);

const fn segment(index: u16, flags: DescriptorFlags) -> Segment {
    Segment { descriptor: flags.bits(), selector: SegmentSelector::new(index, PrivilegeLevel::Ring0).0 }
}
