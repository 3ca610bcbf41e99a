//! One VM with its one vCPU and its memory.

use std::io;

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{VcpuFd, VmFd};

use super::{
    System,
    exit::{Exit, Seen},
};
use crate::memory::{GuestMemory, MemoryError};

/// Where KVM keeps the three pages that it needs on some Intel processors: just below the
/// firmware's place at the end of 4 GiB, above all guest memory (KVM API, 4.35
/// `KVM_SET_TSS_ADDR`).
const TSS_ADDRESS: usize = 0xFFFB_D000;

const _: () = assert!(TSS_ADDRESS >= guest_abi::layout::MAX_MEMORY as usize);

/// A VM with one vCPU.
///
/// The fields are in the order in which they must be dropped: the vCPU and the VM before the
/// memory that KVM was told of.
pub struct Vcpu {
    vcpu: VcpuFd,
    _vm: VmFd,
    memory: GuestMemory,
}

impl Vcpu {
    /// Makes a VM with this memory and one vCPU, which will start in 16-bit real mode at `entry`
    /// with CS base 0 (Intel SDM volume 3A, 21.1 "Real-Address Mode").
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn new(system: &System, memory: GuestMemory, entry: u16) -> Result<Self, VcpuError> {
        let vm = system.kvm.create_vm().map_err(call("KVM_CREATE_VM"))?;
        vm.set_tss_address(TSS_ADDRESS).map_err(call("KVM_SET_TSS_ADDR"))?;
        register_memory(&vm, &memory)?;
        let vcpu = vm.create_vcpu(0).map_err(call("KVM_CREATE_VCPU"))?;
        vcpu.set_cpuid2(&system.cpuid).map_err(call("KVM_SET_CPUID2"))?;
        start_in_real_mode(&vcpu, entry)?;
        Ok(Self { vcpu, _vm: vm, memory })
    }

    /// The guest's memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Runs the guest until it leaves.
    ///
    /// # Errors
    ///
    /// `KVM_RUN` failed for a reason that is no signal.
    pub fn run(&mut self) -> Result<Exit, VcpuError> {
        let seen = match self.vcpu.run() {
            Ok(exit) => Seen::of(exit),
            Err(error) if error.errno() == libc::EINTR => return Ok(Exit::Interrupted),
            Err(error) => return Err(call("KVM_RUN")(error)),
        };
        Ok(seen.complete(self.vcpu.get_kvm_run()))
    }

    /// Answers an `in` exit: every access that it stands for reads `value`, cut to its width.
    pub fn answer(&mut self, value: u32) {
        super::exit::answer(self.vcpu.get_kvm_run(), value);
    }

    /// The instruction pointer, where it can be had.
    pub fn instruction_pointer(&self) -> Option<u64> {
        self.vcpu.get_regs().ok().map(|regs| regs.rip)
    }
}

/// Tells KVM of all memory, one slot a region.
fn register_memory(vm: &VmFd, memory: &GuestMemory) -> Result<(), VcpuError> {
    for (slot, region) in (0..).zip(memory.regions()?) {
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.guest_address,
            memory_size: region.len,
            userspace_addr: region.host_address,
        };
        // SAFETY: the range is one mapping of `memory`, which nothing else uses and which
        // outlives the VM: `Vcpu` owns both and drops the VM first.
        unsafe { vm.set_user_memory_region(region) }.map_err(call("KVM_SET_USER_MEMORY_REGION"))?;
    }
    Ok(())
}

/// Real mode is a vCPU's state after reset, but for where it begins (Intel SDM volume 3A, 10.1.4
/// "First Instruction Executed"): CS base is moved to 0, and IP to the entry.
fn start_in_real_mode(vcpu: &VcpuFd, entry: u16) -> Result<(), VcpuError> {
    let mut sregs = vcpu.get_sregs().map_err(call("KVM_GET_SREGS"))?;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    vcpu.set_sregs(&sregs).map_err(call("KVM_SET_SREGS"))?;
    let mut regs = vcpu.get_regs().map_err(call("KVM_GET_REGS"))?;
    regs.rip = entry.into();
    vcpu.set_regs(&regs).map_err(call("KVM_SET_REGS"))
}

/// Names the KVM call that an error comes from.
fn call(name: &'static str) -> impl Fn(kvm_ioctls::Error) -> VcpuError {
    move |error| VcpuError::Call { call: name, source: error.into() }
}

/// KVM refused something that our own set-up asked for.
#[derive(Debug, thiserror::Error)]
pub enum VcpuError {
    /// A call failed.
    #[error("{call} failed: {source}")]
    Call {
        /// The call's name.
        call: &'static str,
        /// The system's own error.
        source: io::Error,
    },
    /// The guest's memory could not be reached.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}
