//! The numbers of KVM's requests (linux/kvm.h), for a filter of system calls. kvm-ioctls does not export them.

use kvm_bindings::{
    KVMIO, kvm_cpuid2, kvm_debugregs, kvm_guest_debug, kvm_interrupt, kvm_msrs, kvm_regs, kvm_sregs,
    kvm_userspace_memory_region, kvm_vcpu_events, kvm_xsave,
};
use libc::{_IO, _IOR, _IOW, _IOWR, Ioctl};

/// A VM's file from the device's.
pub const CREATE_VM: Ioctl = _IO(KVMIO, 0x01);
/// The size of a vCPU's run structure.
pub const GET_VCPU_MMAP_SIZE: Ioctl = _IO(KVMIO, 0x04);
/// A vCPU's file from a VM's.
pub const CREATE_VCPU: Ioctl = _IO(KVMIO, 0x41);
/// Memory for a VM.
pub const SET_USER_MEMORY_REGION: Ioctl = _IOW::<kvm_userspace_memory_region>(KVMIO, 0x46);
/// KVM's own three pages.
pub const SET_TSS_ADDR: Ioctl = _IO(KVMIO, 0x47);
/// The guest runs.
pub const RUN: Ioctl = _IO(KVMIO, 0x80);
/// General registers.
pub const GET_REGS: Ioctl = _IOR::<kvm_regs>(KVMIO, 0x81);
/// General registers.
pub const SET_REGS: Ioctl = _IOW::<kvm_regs>(KVMIO, 0x82);
/// System registers.
pub const GET_SREGS: Ioctl = _IOR::<kvm_sregs>(KVMIO, 0x83);
/// System registers.
pub const SET_SREGS: Ioctl = _IOW::<kvm_sregs>(KVMIO, 0x84);
/// An interrupt for the next entry.
pub const INTERRUPT: Ioctl = _IOW::<kvm_interrupt>(KVMIO, 0x86);
/// Model-specific registers.
pub const SET_MSRS: Ioctl = _IOW::<kvm_msrs>(KVMIO, 0x89);
/// Model-specific registers.
pub const GET_MSRS: Ioctl = _IOWR::<kvm_msrs>(KVMIO, 0x88);
/// The features that the guest's CPU has.
pub const SET_CPUID2: Ioctl = _IOW::<kvm_cpuid2>(KVMIO, 0x90);
/// Steps and breakpoints.
pub const SET_GUEST_DEBUG: Ioctl = _IOW::<kvm_guest_debug>(KVMIO, 0x9B);
/// Exceptions and interrupts that are pending.
pub const GET_VCPU_EVENTS: Ioctl = _IOR::<kvm_vcpu_events>(KVMIO, 0x9F);
/// Exceptions and interrupts that are pending.
pub const SET_VCPU_EVENTS: Ioctl = _IOW::<kvm_vcpu_events>(KVMIO, 0xA0);
/// Debug registers.
pub const GET_DEBUGREGS: Ioctl = _IOR::<kvm_debugregs>(KVMIO, 0xA1);
/// Debug registers.
pub const SET_DEBUGREGS: Ioctl = _IOW::<kvm_debugregs>(KVMIO, 0xA2);
/// x87 and SSE registers.
pub const GET_XSAVE: Ioctl = _IOR::<kvm_xsave>(KVMIO, 0xA4);
/// x87 and SSE registers.
pub const SET_XSAVE: Ioctl = _IOW::<kvm_xsave>(KVMIO, 0xA5);
