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
mod debug;
mod exit;
mod memory;
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
    ffi::{CString, OsStr},
    fmt, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Calls, Cpu, DebugFeatures, Engine, EngineError, MemoryPlan};
use kvm_bindings::{CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2, kvm_sregs};
use kvm_ioctls::VcpuFd;

pub use access::Access;

/// The CPUID leaves by which KVM offers services of its own to guests, a clock among them. They are hidden, so that runs
/// are the same everywhere.
const PARAVIRTUAL_LEAVES: std::ops::RangeInclusive<u32> = 0x4000_0000..=0x4000_00FF;

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
        cpuid.retain(|entry| !PARAVIRTUAL_LEAVES.contains(&entry.function));
        cpuid.as_mut_slice().iter_mut().for_each(hide_interrupt_controller);
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

fn open_error(device: &Path, source: io::Error) -> OpenError {
    let device = PathBuf::from(device);
    match source.kind() {
        io::ErrorKind::NotFound => OpenError::NotThere { device },
        io::ErrorKind::PermissionDenied => OpenError::Permission { access: Access::of(&device), device },
        _ => OpenError::Open { device, source },
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
pub enum OpenError {
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
        let open = |path: &str| Kvm::open(Path::new(path), None).map(|_| ()).expect_err("no KVM device");
        assert!(matches!(open("/dev/no-such-kvm"), OpenError::NotThere { .. }));
        assert!(matches!(open("/dev/null"), OpenError::NotKvm { .. }));
    }

    #[test]
    fn no_permission_is_told_apart() {
        let error = open_error(Path::new("/dev/kvm"), io::ErrorKind::PermissionDenied.into());
        assert!(matches!(error, OpenError::Permission { .. }));
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
