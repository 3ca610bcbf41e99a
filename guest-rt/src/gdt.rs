//! The segments that a guest runs with: one for code, one for data, both flat (Intel SDM volume
//! 3A, 3.2.1 "Basic Flat Model").

use x86_64::{
    PrivilegeLevel,
    structures::gdt::{DescriptorFlags, SegmentSelector},
};

/// The descriptor of the 32-bit code segment, at [`CODE32_SELECTOR`].
pub(crate) const CODE32: u64 = DescriptorFlags::KERNEL_CODE32.bits();

/// The descriptor of the data segment, at [`DATA_SELECTOR`].
pub(crate) const DATA: u64 = DescriptorFlags::KERNEL_DATA.bits();

/// The selector of the 32-bit code segment.
pub(crate) const CODE32_SELECTOR: u16 = SegmentSelector::new(1, PrivilegeLevel::Ring0).0;

/// The selector of the data segment.
pub(crate) const DATA_SELECTOR: u16 = SegmentSelector::new(2, PrivilegeLevel::Ring0).0;
