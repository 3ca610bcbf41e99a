//! The choice of a toolchain: a pure function of the state of the machine.

use std::fmt;
use std::path::{Path, PathBuf};

use super::version::Version;
use crate::{base::process::indented, error::Error};

/// The source of a toolchain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// `GUESTLAB_GUEST_TOOLCHAIN` names it.
    Named,
    /// The toolchain that builds the host.
    Active,
    /// The distribution's compiler, with its source package.
    Distribution,
    /// Our own copy of Debian's packages.
    PrivateCopy,
}

/// The state of a machine. Some answers take time, so each is asked for only when it matters.
pub(crate) trait Machine {
    /// The sysroot that `GUESTLAB_GUEST_TOOLCHAIN` names.
    fn named(&self) -> Option<PathBuf>;
    fn active(&self) -> Result<PathBuf, String>;
    /// An error if a sysroot lacks something to build guests.
    fn check(&self, sysroot: &Path) -> Result<(), String>;
    fn version(&self, sysroot: &Path) -> Result<Version, String>;
    fn rustup(&self) -> Rustup;
    fn private_copy(&self) -> Result<PathBuf, String>;
    /// An error if a private copy cannot be made here.
    fn can_fetch(&self) -> Result<(), String>;
}

/// The state of rustup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rustup {
    Available,
    Absent,
    /// `RUSTUP_AUTO_INSTALL=0` forbids installations.
    Forbidden,
}

/// The attempts to make, in this order, and the sources that were rejected.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Plan {
    /// Only the last may be a `Use`.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) rejected: Vec<String>,
}

/// A way to a toolchain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Attempt {
    /// Use this sysroot, which is complete.
    Use(Origin, PathBuf),
    /// Let rustup add `rust-src` to the active toolchain.
    AddRustSrc,
    /// Make a private copy from Debian's archive.
    FetchCopy,
}

/// Says why a source of a toolchain cannot be used.
pub(crate) fn reject(source: &str, reason: impl fmt::Display) -> String {
    format!("{source}: {reason}")
}

/// Plans the attempts. A toolchain that the user names is used or refused, never replaced.
pub(crate) fn select(machine: &dyn Machine, pinned: Version) -> Result<Plan, Error> {
    if let Some(sysroot) = machine.named() {
        return named(machine, sysroot);
    }
    let mut plan = Plan::default();
    let steps = [active, distribution, rustup, private_copy];
    for step in steps {
        match step(machine, pinned) {
            Ok(attempt) => plan.attempts.push(attempt),
            Err(rejected) => plan.rejected.push(rejected),
        }
        if let Some(Attempt::Use(..)) = plan.attempts.last() {
            break;
        }
    }
    Ok(plan)
}

fn named(machine: &dyn Machine, sysroot: PathBuf) -> Result<Plan, Error> {
    machine.check(&sysroot).map_err(|lacks| {
        Error::cannot_run(format_args!(
            "GUESTLAB_GUEST_TOOLCHAIN names a toolchain that cannot build guests: {lacks}\n\
             it must name a sysroot, as `rustc --print sysroot` prints it, with its library source; \
             or unset it, and xtask looks for one itself"
        ))
    })?;
    Ok(Plan { attempts: vec![Attempt::Use(Origin::Named, sysroot)], ..Plan::default() })
}

fn complete(machine: &dyn Machine, origin: Origin, sysroot: PathBuf) -> Result<Attempt, String> {
    machine.check(&sysroot).map(|()| Attempt::Use(origin, sysroot))
}

fn active(machine: &dyn Machine, _: Version) -> Result<Attempt, String> {
    let attempt = machine.active().and_then(|sysroot| complete(machine, Origin::Active, sysroot));
    attempt.map_err(|reason| reject("the active toolchain", reason))
}

fn distribution(machine: &dyn Machine, pinned: Version) -> Result<Attempt, String> {
    let sysroot = Path::new("/usr");
    let attempt = complete(machine, Origin::Distribution, sysroot.into()).and_then(|attempt| {
        pinned.check(machine.version(sysroot)?)?;
        Ok(attempt)
    });
    attempt.map_err(|reason| reject("the distribution's compiler", reason))
}

fn rustup(machine: &dyn Machine, _: Version) -> Result<Attempt, String> {
    match machine.rustup() {
        Rustup::Available => Ok(Attempt::AddRustSrc),
        Rustup::Absent => Err(reject("rustup", "not on PATH")),
        Rustup::Forbidden => Err(reject("rustup", "not asked, because RUSTUP_AUTO_INSTALL=0")),
    }
}

fn private_copy(machine: &dyn Machine, _: Version) -> Result<Attempt, String> {
    if let Ok(sysroot) = machine.private_copy() {
        return Ok(Attempt::Use(Origin::PrivateCopy, sysroot));
    }
    let can_fetch = machine.can_fetch().map_err(|reason| reject("Debian's archive", reason));
    can_fetch.map(|()| Attempt::FetchCopy)
}

impl Plan {
    /// Returns the error that every attempt failed.
    pub(crate) fn failed(&self, pinned: Version) -> Error {
        Error::cannot_run(format_args!(
            "there is no Rust compiler here with its library source, which guests need:\n{}\n\
             do one of these:\n\
             \x20   with rustup:       rustup component add rust-src\n\
             \x20   on Debian, Ubuntu: apt install rustc-web rust-web-src lld   (rustc {pinned} or newer)\n\
             \x20   elsewhere:         set GUESTLAB_GUEST_TOOLCHAIN to the sysroot of a rustc {pinned} or \
             newer that has lib/rustlib/src/rust/library",
            indented(&self.rejected.join("\n"))
        ))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Named => "named by GUESTLAB_GUEST_TOOLCHAIN,",
            Origin::Active => "the active toolchain",
            Origin::Distribution => "the distribution's",
            Origin::PrivateCopy => "private copy",
        })
    }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
