//! The CPU modes that guests are compiled for.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::workspace;

/// The CPU mode of a guest's Rust code. All guests start in real mode and switch themselves.
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
    /// The name, on command lines and in image names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Real => "real",
            Mode::Protected => "protected",
            Mode::Paged => "paged",
            Mode::Long => "long",
        }
    }

    /// The custom target for the guest's Rust code, by the name of its JSON file.
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

    /// The feature of the runtime that tells the mode, if the target does not.
    pub(crate) fn feature(self) -> Option<&'static str> {
        (self == Mode::Paged).then_some("guest-rt/paged")
    }

    /// The configuration file for cargo that has the profile `guest`.
    pub(crate) fn configuration() -> PathBuf {
        in_targets("profile.toml")
    }

    /// The configuration files for cargo to build the target's library.
    pub(crate) fn library_configuration(self) -> Vec<PathBuf> {
        let files: &[&str] = match self {
            Mode::Real | Mode::Protected | Mode::Paged => &["profile.toml", "library.toml", "no-x87.toml"],
            // The library has code for SSE2 in this mode, and none for x87.
            Mode::Long => &["profile.toml", "library.toml"],
        };
        files.iter().map(|file| in_targets(file)).collect()
    }

    /// The image's file name. The default mode is not part of it.
    pub(crate) fn image_name(self, guest: &str) -> String {
        match self {
            Mode::Protected => format!("{guest}.elf"),
            other => format!("{guest}.{}.elf", other.name()),
        }
    }
}

fn in_targets(file: &str) -> PathBuf {
    workspace::root().join("guest-rt/targets").join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_mode_is_not_in_an_images_name() {
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
