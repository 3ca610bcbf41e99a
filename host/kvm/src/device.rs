//! The KVM device (KVM API, 4. "API description", system ioctls).

use std::{ffi::CString, fmt, io, os::unix::ffi::OsStrExt, path::Path, sync::Arc};

use guestlab_cpu::{Calls, EngineError};
use kvm_bindings::{CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES, KVM_SYNC_X86_VALID_FIELDS};
use kvm_ioctls::Cap;

use crate::{
    cpuid, kick,
    open_error::{OpenError, open_error},
};

/// The open KVM device (KVM API, 4. "API description", system ioctls).
pub struct Kvm {
    pub(crate) kvm: kvm_ioctls::Kvm,
    pub(crate) calls: Announcer,
    /// KVM takes registers from the run structure at an entry.
    pub(crate) takes_registers: bool,
    /// The features that guests' CPUs can have.
    pub(crate) features: CpuId,
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
        let mut features = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(|error| OpenError::Call { call: "KVM_GET_SUPPORTED_CPUID", source: error.into() })?;
        cpuid::trim(&mut features);
        let purpose = format_args!("whether KVM takes a CPU's registers together with its entry");
        calls.call("KVM_CHECK_EXTENSION", purpose);
        let fields = KVM_SYNC_X86_VALID_FIELDS.cast_signed();
        let takes_registers = kvm.check_extension_int(Cap::SyncRegs) & fields == fields;
        kick::install_handler().map_err(|source| OpenError::Call { call: "sigaction", source })?;
        Ok(Self { kvm, features, calls, takes_registers })
    }
}

/// Names the call that an error comes from.
pub(crate) fn failed(call: &'static str) -> impl Fn(kvm_ioctls::Error) -> EngineError {
    move |error| EngineError::Call { call, source: io::Error::from(error).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_and_a_wrong_one_have_their_own_errors() {
        let open = |path: &str| Kvm::open(Path::new(path), None).map(|_| ()).expect_err("no KVM device");
        assert!(matches!(open("/dev/no-such-kvm"), OpenError::NotThere { .. }));
        assert!(matches!(open("/dev/null"), OpenError::NotKvm { .. }));
    }
}
