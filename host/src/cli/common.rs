//! Parts that several commands share.

use std::{env, path::PathBuf};

use clap::Args;
use guest_abi::mode::CpuMode;

use crate::kvm::Kvm;

/// The end of the short help, which leaves out the lesser options.
pub(super) const SHORT_HELP: &str = "--help has all options, and the exit statuses.";

/// Where KVM is.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// The KVM device.
    #[arg(long, hide_short_help = true, value_name = "PATH", default_value = Kvm::DEVICE)]
    pub kvm: PathBuf,
}

/// Where a guest's image is: in the images' folder.
pub fn image_path(name: &str, mode: CpuMode) -> PathBuf {
    images_folder().join(match mode {
        CpuMode::Protected => format!("{name}.elf"),
        mode => format!("{name}.{}.elf", mode.name()),
    })
}

/// The folder of images: the one that GUESTLAB_IMAGES names, or `guests` beside the folder of this
/// program, as cargo's target folder has it.
fn images_folder() -> PathBuf {
    let beside = || Some(env::current_exe().ok()?.parent()?.parent()?.join("guests"));
    env::var_os("GUESTLAB_IMAGES").map(PathBuf::from).or_else(beside).unwrap_or_default()
}

/// The folder of recordings that were not asked for by name: beside that of images.
pub(super) fn recordings_folder() -> PathBuf {
    images_folder().with_file_name("recordings")
}
