//! Reasons why a machine cannot run guests.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use crate::access::Access;

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
        /// The users with access to it.
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
    /// The path names something else than a device.
    #[error("{} is not a device; give the right one with --kvm", device.display())]
    NotDevice {
        /// The path.
        device: PathBuf,
    },
    /// The path names a device other than KVM's.
    #[error("{} is not KVM's device: it does not answer KVM_GET_API_VERSION", device.display())]
    NotKvm {
        /// The device's path.
        device: PathBuf,
    },
    /// KVM's interface has another version than 12, the only one since 2007.
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

/// Looks for KVM's device, without opening it.
///
/// # Errors
///
/// There is nothing of this name, or something else than a device.
pub fn find_device(device: &Path) -> Result<(), OpenError> {
    match fs::metadata(device) {
        Ok(metadata) if metadata.file_type().is_char_device() => Ok(()),
        Ok(_) => Err(OpenError::NotDevice { device: device.into() }),
        Err(error) => Err(open_error(device, error)),
    }
}

/// Returns the reason for a device that cannot be opened.
pub(crate) fn open_error(device: &Path, source: io::Error) -> OpenError {
    let device = PathBuf::from(device);
    match source.kind() {
        io::ErrorKind::NotFound => OpenError::NotThere { device },
        io::ErrorKind::PermissionDenied => OpenError::Permission { access: Access::of(&device), device },
        _ => OpenError::Open { device, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_from_nothing_and_from_a_file() {
        let find = |path: &str| find_device(Path::new(path));
        assert!(matches!(find("/dev/no-such-kvm"), Err(OpenError::NotThere { .. })));
        assert!(matches!(find("/etc/passwd"), Err(OpenError::NotDevice { .. })));
        assert!(find("/dev/null").is_ok());
    }

    #[test]
    fn missing_permission_has_its_own_error() {
        let error = open_error(Path::new("/dev/kvm"), io::ErrorKind::PermissionDenied.into());
        assert!(matches!(error, OpenError::Permission { .. }));
        assert!(error.to_string().starts_with("no permission on /dev/kvm: "));
    }
}
