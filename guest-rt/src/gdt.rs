//! The segments that a guest runs with: code and data, all flat (Intel SDM volume 3A, 3.2.1 "Basic
//! Flat Model").

use core::mem::offset_of;

use x86_64::{
    PrivilegeLevel,
    structures::{
        gdt::{DescriptorFlags, SegmentSelector},
        tss::TaskStateSegment,
    },
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

/// The selector of long mode's task-state segment.
pub(crate) const TSS_SELECTOR: u16 = SegmentSelector::new(4, PrivilegeLevel::Ring0).0;

/// Its descriptor's upper half but for the address, which is below 64 KiB: a 64-bit segment that is
/// present and not in use (Intel SDM volume 3A, 3.5 "System Descriptor Types").
pub(crate) const TSS_ATTRIBUTES: u32 = (DescriptorFlags::PRESENT.bits() >> 32) as u32 | 0b1001 << 8;

/// Its size in bytes.
pub(crate) const TSS_SIZE: usize = size_of::<TaskStateSegment>();

/// Where in it the first stack for exceptions is named.
pub(crate) const TSS_STACK_1: usize = offset_of!(TaskStateSegment, interrupt_stack_table);

const fn segment(index: u16, flags: DescriptorFlags) -> Segment {
    Segment { descriptor: flags.bits(), selector: SegmentSelector::new(index, PrivilegeLevel::Ring0).0 }
}
