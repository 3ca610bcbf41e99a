//! The toolchain that builds guests: a compiler and the *matching* source of `core`.
//!
//! [`mod@select`] chooses among the toolchains that [`installed`] finds. The last choice is [`debian`]'s private copy.

mod debian;
mod installed;
mod select;
mod sysroot;
mod version;

use std::path::{Path, PathBuf};
use std::process::Command;

use debian::Compiler;
use installed::Installed;
use select::{Attempt, Machine, Origin, reject, select};
use sysroot::Sysroot;
use version::Version;

use crate::base::{output, process};
use crate::{cargo, error::Error};

/// A compiler that can build guests, and its linker.
#[derive(Debug)]
pub(crate) struct Toolchain {
    origin: Origin,
    pub(crate) sysroot: Sysroot,
    pub(crate) linker: PathBuf,
    /// True if this run has fetched it.
    is_new: bool,
}

#[derive(Debug)]
pub(crate) enum Estimate {
    Ready(Toolchain),
    /// A download comes first; the text describes it.
    ToFetch(String),
}

/// Returns the toolchain that [`find`] would return, or the download that it would make.
pub(crate) fn estimate(root: &Path) -> Result<Estimate, Error> {
    let machine = Installed::new(root);
    let mut plan = select(&machine, Version::pinned())?;
    let to_fetch = match plan.attempts.first() {
        None => return Err(plan.failed(Version::pinned())),
        Some(Attempt::Use(origin, sysroot)) => {
            return complete(*origin, Sysroot::new(sysroot), false, &machine).map(Estimate::Ready);
        }
        Some(Attempt::AddRustSrc) => {
            Ok("the first build will ask rustup for the library source (rust-src, about 3 MB)".into())
        }
        Some(Attempt::FetchCopy) => crate::debian::download_size(&Compiler::pinned()).map(|bytes| {
            let megabytes = bytes.div_ceil(1_000_000);
            format!("the first build will fetch a private copy from Debian's archive ({megabytes} MB)")
        }),
    };
    to_fetch.map(Estimate::ToFetch).map_err(|error| {
        plan.rejected.push(reject("Debian's archive", error));
        plan.failed(Version::pinned())
    })
}

/// Finds the toolchain, or fetches one.
pub(crate) fn find(root: &Path) -> Result<Toolchain, Error> {
    let machine = Installed::new(root);
    let mut plan = select(&machine, Version::pinned())?;
    for attempt in &plan.attempts {
        let found = match attempt {
            Attempt::Use(origin, sysroot) => {
                return complete(*origin, Sysroot::new(sysroot), false, &machine);
            }
            Attempt::AddRustSrc => add_rust_src(&machine).map(|sysroot| (Origin::Active, sysroot)),
            Attempt::FetchCopy => crate::debian::fetch(&Compiler::pinned())
                .map(|copy| (Origin::PrivateCopy, Sysroot::new(copy.join("usr"))))
                .map_err(|error| reject("Debian's archive", error)),
        };
        match found {
            Ok((origin, sysroot)) => return complete(origin, sysroot, true, &machine),
            Err(rejected) => plan.rejected.push(rejected),
        }
    }
    Err(plan.failed(Version::pinned()))
}

/// Adds the linker to a sysroot.
fn complete(origin: Origin, sysroot: Sysroot, is_new: bool, here: &Installed) -> Result<Toolchain, Error> {
    let linker = sysroot.linker(|| here.active().ok().map(Sysroot::new))?;
    Ok(Toolchain { origin, sysroot, linker, is_new })
}

/// Returns the folder of the active toolchain, which has cargo.
pub(crate) fn active(root: &Path) -> Result<PathBuf, Error> {
    Installed::new(root).active().map_err(Error::cannot_run)
}

fn add_rust_src(machine: &Installed) -> Result<Sysroot, String> {
    let rejected = |reason: &dyn std::fmt::Display| reject("rustup", reason);
    output::note("guest toolchain: asking rustup for the library source (rust-src)");
    process::output(&mut machine.rustup_add_rust_src()).map_err(|error| {
        output::note(format_args!(
            "warning: {error}\n    RUSTUP_AUTO_INSTALL=0 in the environment keeps xtask from asking rustup"
        ));
        rejected(&error)
    })?;
    let sysroot = machine.active().map(Sysroot::new).map_err(|reason| rejected(&reason))?;
    sysroot.check().map_err(|reason| rejected(&reason))?;
    Ok(sysroot)
}

impl Toolchain {
    /// Prints which toolchain this is, if it is new or the user wants to know.
    pub(crate) fn report(&self, verbose: bool) {
        if self.is_new || verbose {
            output::note(format_args!("guest toolchain: {self}"));
        }
    }

    /// Makes a cargo command use this toolchain for a target.
    pub(crate) fn prepare(&self, command: &mut Command, target: &str) {
        // `core` for a custom target needs unstable options, on a stable compiler.
        command.env("RUSTC_BOOTSTRAP", "1");
        if self.origin != Origin::Active {
            self.sysroot.point_to(command);
        }
        let target = target.replace('-', "_").to_uppercase();
        command.env(format!("CARGO_TARGET_{target}_LINKER"), &self.linker);
    }

    /// Returns advice for a library source that does not compile, which is not a guest's fault.
    pub(crate) fn if_core_is_damaged(&self) -> String {
        let (library, sysroot) = (output::short(&self.sysroot.library()), self.sysroot.path());
        let mend = match self.origin {
            // The copy is the sysroot's parent folder: it has Debian's `usr`.
            Origin::PrivateCopy => format!(
                "remove {} and run this again: xtask downloads it again",
                output::short(sysroot.parent().unwrap_or(sysroot))
            ),
            Origin::Active => "rustup component remove rust-src, then rustup component add rust-src".into(),
            Origin::Distribution => "install the package with the library's source again".into(),
            Origin::Named => "name another in GUESTLAB_GUEST_TOOLCHAIN, or repair it".into(),
        };
        format!("\nif it names files of `core`, the library's source is damaged: {library}\n  try: {mend}")
    }

    #[cfg(test)]
    pub(crate) fn made_up(sysroot: &Path) -> Toolchain {
        Toolchain {
            origin: Origin::Named,
            sysroot: Sysroot::new(sysroot),
            linker: PathBuf::new(),
            is_new: false,
        }
    }

    pub(crate) fn clippy(&self) -> Result<Command, Error> {
        let mut clippy = Command::new(cargo::program());
        if self.origin != Origin::Active {
            let program = self.sysroot.program("cargo-clippy");
            if !program.is_file() {
                return Err(Error::cannot_run(format_args!(
                    "the guests' toolchain has no clippy: {} is missing\n\
                     name one that has it in GUESTLAB_GUEST_TOOLCHAIN",
                    output::short(&program)
                )));
            }
            clippy = Command::new(program);
            clippy.env("CARGO", cargo::program());
        }
        clippy.arg("clippy");
        Ok(clippy)
    }
}

impl std::fmt::Display for Toolchain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.sysroot.version() {
            Ok(version) => write!(f, "rustc {version}, ")?,
            Err(_) => write!(f, "a rustc that does not run, ")?,
        }
        write!(f, "{} in {}", self.origin, output::short(self.sysroot.path()))
    }
}
