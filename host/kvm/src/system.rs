//! The KVM device (KVM API, 4. "API description", system ioctls).

use std::{
    ffi::{CString, OsStr},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use kvm_bindings::{CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::{Kvm, VcpuFd};

use super::{
    access::Access,
    vcpu::{Initial, VcpuError},
};
use crate::debug::{explain::Explain, timeline::Timeline};

/// The CPUID leaves by which KVM offers guests services of its own, a clock among them. Our guests
/// have no use for them, and runs are to be the same everywhere.
const PARAVIRTUAL_LEAVES: std::ops::RangeInclusive<u32> = 0x4000_0000..=0x4000_00FF;

/// The open KVM device.
pub struct System {
    pub(super) kvm: Kvm,
    pub(super) cpuid: CpuId,
    pub(super) explain: Explain,
    timeline: Timeline,
    /// The state of a new vCPU, once one was made.
    after_reset: OnceLock<Initial>,
}

impl System {
    /// Whether calls and exits are explained.
    pub fn explain(&self) -> Explain {
        self.explain
    }

    /// Where its machines tell what happens when.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The same, with machines that tell what happens when.
    #[must_use]
    pub fn with_timeline(self, timeline: &Timeline) -> Self {
        Self { timeline: timeline.clone(), ..self }
    }

    /// Where the device is.
    pub const DEVICE: &str = "/dev/kvm";

    /// Opens the device.
    ///
    /// # Errors
    ///
    /// A [`SystemError`] that says why this machine cannot run guests.
    pub fn open(device: &Path, explain: Explain) -> Result<Self, SystemError> {
        let path = CString::new(device.as_os_str().as_bytes()).map_err(|_| SystemError::Open {
            device: device.into(),
            source: io::ErrorKind::InvalidInput.into(),
        })?;
        explain.call("open", &format!("{}: KVM's door, one file for all VMs", device.display()));
        let kvm = Kvm::new_with_path(path).map_err(|error| open_error(device, error.into()))?;
        explain.call("KVM_GET_API_VERSION", "always 12; anything else is no KVM that we know");
        match kvm.get_api_version() {
            -1 => return Err(SystemError::NotKvm { device: device.into() }),
            version if version != KVM_API_VERSION.cast_signed() => {
                return Err(SystemError::ApiVersion { version });
            }
            _ => {}
        }
        explain.call("KVM_GET_SUPPORTED_CPUID", "what guests' CPUs can have here");
        let mut cpuid = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(|error| SystemError::Call { call: "KVM_GET_SUPPORTED_CPUID", source: error.into() })?;
        cpuid.retain(|entry| !PARAVIRTUAL_LEAVES.contains(&entry.function));
        cpuid.as_mut_slice().iter_mut().for_each(hide_interrupt_controller);
        Ok(Self { kvm, cpuid, explain, timeline: Timeline::default(), after_reset: OnceLock::new() })
    }

    /// The state in which all vCPUs are when they are new, this one among them.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub(super) fn after_reset(&self, new: &VcpuFd) -> Result<&Initial, VcpuError> {
        if let Some(state) = self.after_reset.get() {
            return Ok(state);
        }
        let state = Initial::read(new, self.explain)?;
        Ok(self.after_reset.get_or_init(|| state))
    }
}

fn open_error(device: &Path, source: io::Error) -> SystemError {
    let device = PathBuf::from(device);
    match source.kind() {
        io::ErrorKind::NotFound => SystemError::NotThere { device },
        io::ErrorKind::PermissionDenied => SystemError::Permission { access: Access::of(&device), device },
        _ => SystemError::Open { device, source },
    }
}

/// The kernel module that stands behind KVM here: `kvm_intel`, `kvm_amd`, `kvm_pvm`, ...; `None`
/// where none of that form is loaded or they are built into the kernel.
pub fn module_name() -> Option<String> {
    let modules = std::fs::read_dir("/sys/module").ok()?;
    let mut names: Vec<String> = modules
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_vendor_module(OsStr::new(name)))
        .collect();
    names.sort();
    (!names.is_empty()).then(|| names.join(", "))
}

fn is_vendor_module(name: &OsStr) -> bool {
    ["kvm_intel", "kvm_amd", "kvm_pvm"].iter().any(|module| name == *module)
}

/// This machine cannot run guests.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// There is no device.
    #[error(
        "{} is not there: load KVM's module (`modprobe kvm_intel` or `modprobe kvm_amd`), switch virtualization on in the firmware, or, inside a VM or container, ask for nested virtualization or for the device to be passed in",
        device.display()
    )]
    NotThere {
        /// The device's path.
        device: PathBuf,
    },
    /// The device may not be opened.
    #[error("no permission on {}: {}", device.display(), access.remedy(device))]
    Permission {
        /// The device's path.
        device: PathBuf,
        /// Who may open it.
        access: Access,
    },
    /// The device could not be opened for another reason.
    #[error("cannot open {}: {source}", device.display())]
    Open {
        /// The device's path.
        device: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// What was opened is something else.
    #[error("{} is not KVM's device: it does not answer KVM_GET_API_VERSION", device.display())]
    NotKvm {
        /// The device's path.
        device: PathBuf,
    },
    /// KVM's interface has not been any other than 12 since 2007.
    #[error("KVM here has API version {version}; 12 is the stable one: a newer Linux is needed")]
    ApiVersion {
        /// The version found.
        version: i32,
    },
    /// KVM refused a call that every KVM takes.
    #[error("{call} failed: {source}")]
    Call {
        /// The call's name.
        call: &'static str,
        /// The system's own error.
        source: io::Error,
    },
}

/// Clears what a leaf of CPUID says of a local APIC, which guests do not have (SDM volume 2A, "CPUID"; APM volume 3,
/// E.4.2).
fn hide_interrupt_controller(entry: &mut kvm_cpuid_entry2) {
    const APIC: u32 = 1 << 9;
    const X2APIC: u32 = 1 << 21;
    const DEADLINE_TIMER: u32 = 1 << 24;
    const EXTENDED_SPACE: u32 = 1 << 3;
    match entry.function {
        1 => {
            entry.edx &= !APIC;
            entry.ecx &= !(X2APIC | DEADLINE_TIMER);
        }
        0x8000_0001 => {
            entry.edx &= !APIC;
            entry.ecx &= !EXTENDED_SPACE;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_missing_or_something_else_is_told_apart() {
        let open = |path: &str| {
            System::open(Path::new(path), Explain::default()).map(|_| ()).expect_err("no KVM device")
        };
        assert!(matches!(open("/dev/no-such-kvm"), SystemError::NotThere { .. }));
        assert!(matches!(open("/dev/null"), SystemError::NotKvm { .. }));
    }

    #[test]
    fn no_permission_is_told_apart() {
        let error = open_error(Path::new("/dev/kvm"), io::ErrorKind::PermissionDenied.into());
        assert!(matches!(error, SystemError::Permission { .. }));
        assert!(error.to_string().starts_with("no permission on /dev/kvm: "));
    }

    #[test]
    fn guests_are_told_of_no_local_apic() {
        let of = |function| {
            let mut entry = kvm_cpuid_entry2 { function, ecx: u32::MAX, edx: u32::MAX, ..Default::default() };
            hide_interrupt_controller(&mut entry);
            (entry.ecx, entry.edx)
        };
        assert_eq!(of(1), (!(1 << 21 | 1 << 24), !(1 << 9)));
        assert_eq!(of(0x8000_0001), (!(1 << 3), !(1 << 9)));
        assert_eq!(of(7), (u32::MAX, u32::MAX));
    }
}
