//! The engine that is Linux KVM.
//!
//! [`Kvm`] is the open device `/dev/kvm`. It creates VMs with one vCPU each, which are [`Cpu`]s of the vocabulary crate
//! `guestlab-cpu`. This crate is the only one that names KVM's own types, and the only place that knows of the
//! differences between KVM's modules: with the feature `steps`, a single step is the same on all of them.
//!
//! An example that runs one instruction, `hlt`:
//!
//! ```no_run
//! use guestlab_cpu::{CpuState, Engine, Exit, MemoryPlan, Until};
//! use guestlab_kvm::Kvm;
//!
//! let kvm = Kvm::open("/dev/kvm".as_ref(), None)?;
//! let mut cpu = kvm.create(&MemoryPlan::below(0x1000))?;
//! cpu.memory_mut().write(0x100, &[0xF4])?;
//! cpu.set_state(&CpuState::real(0x100))?;
//! assert_eq!(cpu.run(Until::Exit)?, Exit::Halt { interrupts: false });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! On systems other than Linux on x86-64 this crate is empty.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod access;
mod cpu;
mod cpuid;
mod debug;
mod debug_registers;
mod device;
mod exit;
mod kick;
mod memory;
mod module;
mod open_error;
mod probe;
mod regs;
pub mod request;
#[cfg(feature = "steps")]
mod step;
#[cfg(not(feature = "steps"))]
#[path = "no_steps.rs"]
mod step;
mod vcpu;
mod xsave;

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, DebugFeatures, Engine, EngineError, KVM, MemoryPlan};

pub use access::Access;
pub use device::Kvm;
pub use module::module_name;
pub use open_error::{OpenError, find_device};

impl Engine for Kvm {
    fn name(&self) -> &str {
        KVM
    }

    fn create(&self, memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError> {
        Ok(Box::new(cpu::KvmCpu::new(self, memory, Some(&self.features))?))
    }

    fn create_without_features(&self, memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError> {
        Ok(Box::new(cpu::KvmCpu::new(self, memory, None)?))
    }

    fn runs(&self, mode: CpuMode) -> Result<bool, EngineError> {
        probe::runs(self, mode)
    }

    fn debug_features(&self, mode: CpuMode) -> Result<DebugFeatures, EngineError> {
        probe::debug_features(self, mode)
    }
}
