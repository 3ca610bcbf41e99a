//! The CPU modes that guests are compiled for.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::workspace;

/// The CPU mode that a guest's Rust code runs in. All of them start in real mode and switch
/// themselves.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub(crate) enum Mode {
    /// 16-bit real mode, linked below 64 KiB.
    Real,
    /// 32-bit protected mode with flat segments.
    Protected,
    /// 32-bit protected mode with paging.
    Paged,
    /// 64-bit long mode.
    Long,
}

impl Mode {
    /// The modes that guest-rt can boot into today; the others are refused.
    pub(crate) const WRITTEN: &[Mode] = &[Mode::Real, Mode::Protected, Mode::Paged, Mode::Long];

    /// The name, on command lines and in image names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Real => "real",
            Mode::Protected => "protected",
            Mode::Paged => "paged",
            Mode::Long => "long",
        }
    }

    /// The custom target that the guest's Rust is compiled for, by the name of its JSON file.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Mode::Real => "i386-guestlab-none-code16",
            Mode::Protected | Mode::Paged => "i386-guestlab-none",
            Mode::Long => "x86_64-guestlab-none",
        }
    }

    /// The target's JSON file.
    pub(crate) fn target_file(self) -> PathBuf {
        in_targets(&format!("{}.json", self.target()))
    }

    /// The files that cargo takes as configuration: the profile `guest`, and what the target's library needs.
    pub(crate) fn configuration(self) -> Vec<PathBuf> {
        let files: &[&str] = match self {
            Mode::Real | Mode::Protected | Mode::Paged => &["profile.toml", "no-x87.toml"],
            // Here the library has code for SSE2, and none for x87.
            Mode::Long => &["profile.toml"],
        };
        files.iter().map(|file| in_targets(file)).collect()
    }

    /// The image's file name; the default mode goes without saying.
    pub(crate) fn image_name(self, guest: &str) -> String {
        match self {
            Mode::Protected => format!("{guest}.elf"),
            other => format!("{guest}.{}.elf", other.name()),
        }
    }
}

/// The path of a file in the folder of the targets.
fn in_targets(file: &str) -> PathBuf {
    workspace::root().join("guest-rt/targets").join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_mode_goes_without_saying_in_an_images_name() {
        assert_eq!(Mode::Protected.image_name("hello"), "hello.elf");
        assert_eq!(Mode::Long.image_name("hello"), "hello.long.elf");
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for mode in Mode::value_variants() {
            assert_eq!(Mode::from_str(mode.name(), false), Ok(*mode));
        }
    }
}
