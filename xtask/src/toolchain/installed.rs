//! The state of the machine that xtask runs on.

use std::path::{Path, PathBuf};
use std::{env, process::Command};

use super::debian::Compiler;
use super::select::{Machine, Rustup};
use super::sysroot::Sysroot;
use super::version::Version;
use crate::base::process::{self, on_path};
use crate::debian;

/// The installed toolchains, seen from the workspace's root, where the pinned toolchain is the active one.
#[derive(Debug)]
pub(crate) struct Installed {
    root: PathBuf,
}

impl Installed {
    pub(crate) fn new(root: &Path) -> Installed {
        Installed { root: root.to_path_buf() }
    }

    pub(crate) fn rustup_add_rust_src(&self) -> Command {
        let mut rustup = Command::new("rustup");
        rustup.args(["component", "add", "rust-src"]).current_dir(&self.root);
        rustup
    }
}

impl Machine for Installed {
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

    fn check(&self, sysroot: &Path) -> Result<(), String> {
        Sysroot::new(sysroot).check()
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
        Ok(debian::find(&Compiler::pinned())?.join("usr"))
    }

    fn can_fetch(&self) -> Result<(), String> {
        debian::can_fetch()
    }
}
