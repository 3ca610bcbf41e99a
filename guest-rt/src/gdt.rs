//! The segments of a guest: code and data, all flat
//! (Intel SDM volume 3A, 3.2.1 "Basic Flat Model").

use core::mem::offset_of;

use x86_64::{
    PrivilegeLevel,
    structures::{
        gdt::{DescriptorFlags, SegmentSelector},
        tss::TaskStateSegment,
    },
};

/// A segment descriptor and its selector.
pub(crate) struct Segment {
    pub(crate) descriptor: u64,
    pub(crate) selector: u16,
}

/// 32-bit code.
pub(crate) const CODE32: Segment = segment(1, DescriptorFlags::KERNEL_CODE32);

/// Data, for every mode.
pub(crate) const DATA: Segment = segment(2, DescriptorFlags::KERNEL_DATA);

/// 64-bit code.
pub(crate) const CODE64: Segment = segment(3, DescriptorFlags::KERNEL_CODE64);

/// The selector of long mode's task-state segment.
pub(crate) const TSS_SELECTOR: u16 = SegmentSelector::new(4, PrivilegeLevel::Ring0).0;

/// The upper half of its descriptor, without the address, which is below 64 KiB. It describes a 64-bit
/// segment that is present and not in use (Intel SDM volume 3A, 3.5 "System Descriptor Types").
pub(crate) const TSS_ATTRIBUTES: u32 = (DescriptorFlags::PRESENT.bits() >> 32) as u32 | 0b1001 << 8;

/// The size of the task-state segment in bytes.
pub(crate) const TSS_SIZE: usize = size_of::<TaskStateSegment>();

/// The offset of the first stack for exceptions in the task-state segment.
pub(crate) const TSS_STACK_1: usize = offset_of!(TaskStateSegment, interrupt_stack_table);

const fn segment(index: u16, flags: DescriptorFlags) -> Segment {
    Segment { descriptor: flags.bits(), selector: SegmentSelector::new(index, PrivilegeLevel::Ring0).0 }
}
