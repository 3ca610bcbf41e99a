//! The items of `guestlab-kvm` for systems without KVM for x86 guests: a device that never opens.

use std::{convert::Infallible, env::consts, path::Path, sync::Arc};

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Calls, Cpu, DebugFeatures, Engine, EngineError, KVM, MemoryPlan};

/// The open KVM device, which does not exist.
pub struct Kvm(Infallible);

/// This system has no KVM.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} on {} has no KVM for x86 guests; the interpreter runs them on every system: --engine soft",
    consts::OS,
    consts::ARCH
)]
pub struct OpenError(());

impl Kvm {
    /// The path of KVM's device on Linux.
    pub const DEVICE: &str = "/dev/kvm";

    /// Opens the device.
    ///
    /// # Errors
    ///
    /// Always: this system has none.
    pub fn open(_device: &Path, _calls: Option<Arc<dyn Calls>>) -> Result<Self, OpenError> {
        Err(OpenError(()))
    }
}

/// Looks for KVM's device.
///
/// # Errors
///
/// Always: this system has none.
pub fn find_device(_device: &Path) -> Result<(), OpenError> {
    Err(OpenError(()))
}

/// Returns the name of the kernel module behind KVM: there is none.
pub fn module_name() -> Option<String> {
    None
}

impl Engine for Kvm {
    fn name(&self) -> &str {
        KVM
    }

    fn create(&self, _memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError> {
        match self.0 {}
    }

    fn runs(&self, _mode: CpuMode) -> Result<bool, EngineError> {
        match self.0 {}
    }

    fn debug_features(&self, _mode: CpuMode) -> Result<DebugFeatures, EngineError> {
        match self.0 {}
    }
}
