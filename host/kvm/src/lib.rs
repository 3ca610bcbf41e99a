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

mod access;
mod cpu;
mod cpuid;
mod debug;
mod exit;
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

use std::{
    ffi::CString,
    fmt, io,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Arc, OnceLock},
};

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Calls, Cpu, DebugFeatures, Engine, EngineError, MemoryPlan};
use kvm_bindings::{CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES, kvm_sregs};
use kvm_ioctls::VcpuFd;

use open_error::open_error;

pub use access::Access;
pub use module::module_name;
pub use open_error::OpenError;

/// The open KVM device (KVM API, 4. "API description", system ioctls).
pub struct Kvm {
    kvm: kvm_ioctls::Kvm,
    cpuid: CpuId,
    calls: Announcer,
    /// The system registers of a new vCPU, once one was created.
    after_reset: OnceLock<kvm_sregs>,
}

/// The observer of KVM's calls, if there is one.
#[derive(Clone)]
pub(crate) struct Announcer(Option<Arc<dyn Calls>>);

impl Announcer {
    pub(crate) fn call(&self, name: &str, purpose: fmt::Arguments<'_>) {
        if let Some(calls) = &self.0 {
            calls.call(name, purpose);
        }
    }
}

impl Kvm {
    /// The device's path.
    pub const DEVICE: &str = "/dev/kvm";

    /// Opens the device. `calls` observes the calls to KVM that create VMs.
    ///
    /// # Errors
    ///
    /// An [`OpenError`] that says why this machine cannot run guests.
    pub fn open(device: &Path, calls: Option<Arc<dyn Calls>>) -> Result<Self, OpenError> {
        let calls = Announcer(calls);
        let path = CString::new(device.as_os_str().as_bytes()).map_err(|_| OpenError::Open {
            device: device.into(),
            source: io::ErrorKind::InvalidInput.into(),
        })?;
        calls.call("open", format_args!("{}: KVM's device, one file for all VMs", device.display()));
        let kvm = kvm_ioctls::Kvm::new_with_path(path).map_err(|error| open_error(device, error.into()))?;
        calls.call("KVM_GET_API_VERSION", format_args!("always 12; any other version is unknown here"));
        match kvm.get_api_version() {
            -1 => return Err(OpenError::NotKvm { device: device.into() }),
            version if version != KVM_API_VERSION.cast_signed() => {
                return Err(OpenError::ApiVersion { version });
            }
            _ => {}
        }
        calls.call("KVM_GET_SUPPORTED_CPUID", format_args!("the features that guests' CPUs can have here"));
        let mut cpuid = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(|error| OpenError::Call { call: "KVM_GET_SUPPORTED_CPUID", source: error.into() })?;
        cpuid::trim(&mut cpuid);
        vcpu::install_kick_handler().map_err(|source| OpenError::Call { call: "sigaction", source })?;
        Ok(Self { kvm, cpuid, calls, after_reset: OnceLock::new() })
    }
}

impl Engine for Kvm {
    fn name(&self) -> &str {
        "kvm"
    }

    fn create(&self, memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError> {
        Ok(Box::new(cpu::KvmCpu::new(self, memory)?))
    }

    fn runs(&self, mode: CpuMode) -> Result<bool, EngineError> {
        probe::runs(self, mode)
    }

    fn debug_features(&self, mode: CpuMode) -> Result<DebugFeatures, EngineError> {
        probe::debug_features(self, mode)
    }
}

impl Kvm {
    /// Returns the system registers that all vCPUs have when they are new. `new` is one of them.
    fn after_reset(&self, new: &VcpuFd) -> Result<kvm_sregs, EngineError> {
        if let Some(registers) = self.after_reset.get() {
            return Ok(*registers);
        }
        let purpose = format_args!("the system registers after reset; read once, of the first VM");
        self.calls.call("KVM_GET_SREGS", purpose);
        let registers = new.get_sregs().map_err(vcpu::call("KVM_GET_SREGS"))?;
        Ok(*self.after_reset.get_or_init(|| registers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_missing_or_something_else_is_told_apart() {
        let open = |path: &str| Kvm::open(Path::new(path), None).map(|_| ()).expect_err("no KVM device");
        assert!(matches!(open("/dev/no-such-kvm"), OpenError::NotThere { .. }));
        assert!(matches!(open("/dev/null"), OpenError::NotKvm { .. }));
    }
}
