//! Parts that several commands share.

use std::{env, path::PathBuf};

use clap::{Args, ValueEnum};
use guest_abi::mode::CpuMode;

use crate::{engines::Choice, kvm::Kvm};

/// The end of the short help, which does not have all options.
pub(super) const SHORT_HELP: &str = "--help has all options, and the exit statuses.";

/// The options for the engine.
#[derive(Clone, Debug, Args)]
pub struct EngineArgs {
    /// The guests' engine.
    ///
    /// The variable GUESTLAB_ENGINE has another default.
    #[arg(
        long,
        value_enum,
        value_name = "ENGINE",
        default_value = "auto",
        env = "GUESTLAB_ENGINE",
        hide_env = true
    )]
    pub engine: Choice,

    /// The KVM device.
    #[arg(long, hide_short_help = true, value_name = "PATH", default_value = Kvm::DEVICE)]
    pub kvm: PathBuf,
}

impl EngineArgs {
    /// Returns the engine for a recording that this engine made. Without a choice of the user's, the interpreter's
    /// recordings stay there, because only it repeats a guest's time.
    #[must_use]
    pub fn of_recording(&self, made_by: &str) -> Self {
        match Choice::from_str(made_by, false) {
            Ok(Choice::Soft) => self.or_interpreter(),
            _ => self.clone(),
        }
    }

    /// Returns the interpreter where the user has chosen no engine: a search is much faster there, and finds the same.
    #[must_use]
    pub fn or_interpreter(&self) -> Self {
        let engine = if self.engine == Choice::Auto { Choice::Soft } else { self.engine };
        Self { engine, kvm: self.kvm.clone() }
    }

    /// Returns the options that are not the usual ones, each with its value, for another command.
    pub(super) fn given(&self) -> [(&'static str, Option<String>); 2] {
        let engine = self.engine.to_possible_value().filter(|_| self.engine != Choice::Auto);
        let device = Some(&self.kvm).filter(|device| device.as_os_str() != Kvm::DEVICE);
        [
            ("--engine", engine.map(|value| value.get_name().to_owned())),
            ("--kvm", device.map(|device| device.to_string_lossy().into_owned())),
        ]
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
