//! The machine that xtask runs on, as far as the decision needs to know it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::debian::Compiler;
use super::select::{Machine, Rustup};
use super::sysroot::Sysroot;
use super::version::Version;
use crate::base::process::{self, on_path};
use crate::debian;
use crate::error::Error;

/// The machine we run on.
#[derive(Debug)]
pub(crate) struct ThisMachine {
    root: PathBuf,
}

impl ThisMachine {
    /// The machine, as seen from the workspace's root, where the pinned toolchain is the active one.
    pub(crate) fn new(root: &Path) -> ThisMachine {
        ThisMachine { root: root.to_path_buf() }
    }

    /// The command that adds the library source to the active toolchain.
    pub(crate) fn rustup_add_rust_src(&self) -> Command {
        let mut rustup = Command::new("rustup");
        rustup.args(["component", "add", "rust-src"]).current_dir(&self.root);
        rustup
    }

    /// Makes a private copy, and returns its sysroot.
    pub(crate) fn fetch_copy(&self) -> Result<PathBuf, Error> {
        Ok(debian::fetch(&Compiler { pinned: Version::pinned() })?.join("usr"))
    }

    /// Tries out whether a private copy could be fetched: the size of its download in bytes.
    pub(crate) fn rehearse_copy(&self) -> Result<u64, Error> {
        debian::rehearse(&Compiler { pinned: Version::pinned() })
    }
}

impl Machine for ThisMachine {
    fn named(&self) -> Option<PathBuf> {
        let named = env::var_os("GUESTLAB_GUEST_TOOLCHAIN").filter(|value| !value.is_empty())?;
        Some(std::path::absolute(&named).unwrap_or_else(|_| named.into()))
    }

    fn active(&self) -> Result<PathBuf, String> {
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "sysroot"]).current_dir(&self.root);
        let printed = process::output(&mut rustc).map_err(|error| error.to_string())?;
        Ok(PathBuf::from(printed.trim_end()))
    }

    fn missing(&self, sysroot: &Path) -> Vec<PathBuf> {
        Sysroot::new(sysroot).missing()
    }

    fn version(&self, sysroot: &Path) -> Result<Version, String> {
        Sysroot::new(sysroot).version()
    }

    fn rustup(&self) -> Rustup {
        if env::var_os("RUSTUP_AUTO_INSTALL").is_some_and(|value| value == "0") {
            return Rustup::Forbidden;
        }
        on_path("rustup").map_or(Rustup::Absent, |_| Rustup::Available)
    }

    fn private_copy(&self) -> Result<PathBuf, String> {
        Ok(debian::find(&Compiler { pinned: Version::pinned() })?.join("usr"))
    }

    fn can_fetch(&self) -> Result<(), String> {
        debian::can_fetch()
    }
}
