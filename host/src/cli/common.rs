//! Parts that several commands share.

use std::{env, path::PathBuf};

use clap::Args;
use guest_abi::mode::CpuMode;

use crate::kvm::Kvm;

/// The end of the short help, which does not have all options.
pub(super) const SHORT_HELP: &str = "--help has all options, and the exit statuses.";

/// The option for KVM's device.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// The KVM device.
    #[arg(long, hide_short_help = true, value_name = "PATH", default_value = Kvm::DEVICE)]
    pub kvm: PathBuf,
}

impl DeviceArgs {
    /// Returns true if the device is the usual one.
    pub(super) fn is_default(&self) -> bool {
        self.kvm.as_os_str() == Kvm::DEVICE
    }
}

/// Returns the path of a guest's image in the folder of images.
pub fn image_path(name: &str, mode: CpuMode) -> PathBuf {
    images_folder().join(match mode {
        CpuMode::Protected => format!("{name}.elf"),
        mode => format!("{name}.{}.elf", mode.name()),
    })
}

/// Returns the folder of images: that of the variable `GUESTLAB_IMAGES`, or `guests` in cargo's target folder, in which
/// this program is.
fn images_folder() -> PathBuf {
    let beside = || Some(env::current_exe().ok()?.parent()?.parent()?.join("guests"));
    env::var_os("GUESTLAB_IMAGES").map(PathBuf::from).or_else(beside).unwrap_or_default()
}

/// Returns the folder of recordings without a path of the user's. It is next to the folder of images.
pub(super) fn recordings_folder() -> PathBuf {
    images_folder().with_file_name("recordings")
}
