//! Which toolchain is taken: a pure function of what the machine has.

use std::fmt;
use std::path::{Path, PathBuf};

use super::sysroot::lacks;
use super::version::Version;
use crate::base::process::indented;
use crate::error::Error;

/// Where a toolchain comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// `GUESTLAB_GUEST_TOOLCHAIN` names it.
    Named,
    /// It is the one that builds the host, too.
    Active,
    /// It is the distribution's, with its source package.
    Distribution,
    /// It is Debian's, in a copy of our own.
    PrivateCopy,
}

/// What is known of a machine; asked only when the answer matters, because some answers take time.
pub(crate) trait Machine {
    /// The sysroot that `GUESTLAB_GUEST_TOOLCHAIN` names.
    fn named(&self) -> Option<PathBuf>;
    /// The sysroot of the active toolchain, or why there is none.
    fn active(&self) -> Result<PathBuf, String>;
    /// What a sysroot lacks to build guests.
    fn missing(&self, sysroot: &Path) -> Vec<PathBuf>;
    /// The version of the compiler in a sysroot, or why it has none.
    fn version(&self, sysroot: &Path) -> Result<Version, String>;
    /// Whether rustup may be asked for something.
    fn rustup(&self) -> Rustup;
    /// The sysroot of a complete private copy, or why there is none.
    fn private_copy(&self) -> Result<PathBuf, String>;
    /// Whether a private copy can be made here; if not, why.
    fn can_fetch(&self) -> Result<(), String>;
}

/// Whether rustup may be asked for something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rustup {
    /// It is there.
    Available,
    /// It is not on `PATH`.
    Absent,
    /// `RUSTUP_AUTO_INSTALL=0` says that nothing shall be installed unasked.
    Forbidden,
}

/// What to try, in this order, until something works; and what was passed over on the way.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Plan {
    /// The first that works is the toolchain. Only the last may be a `Use`.
    pub(crate) attempts: Vec<Attempt>,
    /// What does not come into question.
    pub(crate) passed_over: Vec<PassedOver>,
}

/// One way to a toolchain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Attempt {
    /// Take this sysroot, which is complete.
    Use(Origin, PathBuf),
    /// Have rustup add `rust-src` to the active toolchain.
    AddRustSrc,
    /// Make a private copy from Debian's archive.
    FetchCopy,
}

/// Something that does not come into question, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PassedOver {
    what: &'static str,
    why: String,
}

impl PassedOver {
    /// Notes that `what` does not come into question.
    pub(crate) fn new(what: &'static str, why: impl fmt::Display) -> PassedOver {
        PassedOver { what, why: why.to_string() }
    }
}

type Step = fn(&dyn Machine, Version) -> Result<Attempt, PassedOver>;

/// Decides what to try. A toolchain that the user names is taken or refused, never replaced.
pub(crate) fn decide(machine: &dyn Machine, pinned: Version) -> Result<Plan, Error> {
    if let Some(sysroot) = machine.named() {
        return named(machine, sysroot);
    }
    let mut plan = Plan::default();
    let steps: [Step; 4] = [active, distribution, rustup, private_copy];
    for step in steps {
        match step(machine, pinned) {
            Ok(attempt) => {
                let certain = matches!(attempt, Attempt::Use(..));
                plan.attempts.push(attempt);
                if certain {
                    break;
                }
            }
            Err(passed_over) => plan.passed_over.push(passed_over),
        }
    }
    Ok(plan)
}

fn named(machine: &dyn Machine, sysroot: PathBuf) -> Result<Plan, Error> {
    let missing = machine.missing(&sysroot);
    if !missing.is_empty() {
        return Err(Error::cannot_run(format_args!(
            "GUESTLAB_GUEST_TOOLCHAIN names a toolchain that cannot build guests: {}\n\
             it must name a sysroot, as `rustc --print sysroot` prints it, with its library source; \
             or unset it, and xtask looks for one itself",
            lacks(&sysroot, &missing)
        )));
    }
    Ok(Plan { attempts: vec![Attempt::Use(Origin::Named, sysroot)], ..Plan::default() })
}

fn active(machine: &dyn Machine, _: Version) -> Result<Attempt, PassedOver> {
    let what = "the active toolchain";
    let sysroot = machine.active().map_err(|why| PassedOver::new(what, why))?;
    match machine.missing(&sysroot).as_slice() {
        [] => Ok(Attempt::Use(Origin::Active, sysroot)),
        missing => Err(PassedOver::new(what, lacks(&sysroot, missing))),
    }
}

fn distribution(machine: &dyn Machine, pinned: Version) -> Result<Attempt, PassedOver> {
    let passed_over = |why: String| PassedOver::new("the distribution's compiler", why);
    let sysroot = Path::new("/usr");
    let missing = machine.missing(sysroot);
    if !missing.is_empty() {
        return Err(passed_over(lacks(sysroot, &missing)));
    }
    let version = machine.version(sysroot).map_err(passed_over)?;
    if version < pinned {
        return Err(passed_over(format!("rustc {version} is older than {pinned}, which is asked for")));
    }
    Ok(Attempt::Use(Origin::Distribution, sysroot.to_path_buf()))
}

fn rustup(machine: &dyn Machine, _: Version) -> Result<Attempt, PassedOver> {
    match machine.rustup() {
        Rustup::Available => Ok(Attempt::AddRustSrc),
        Rustup::Absent => Err(PassedOver::new("rustup", "not on PATH")),
        Rustup::Forbidden => Err(PassedOver::new("rustup", "not asked, because RUSTUP_AUTO_INSTALL=0")),
    }
}

fn private_copy(machine: &dyn Machine, _: Version) -> Result<Attempt, PassedOver> {
    if let Ok(sysroot) = machine.private_copy() {
        return Ok(Attempt::Use(Origin::PrivateCopy, sysroot));
    }
    let can_fetch = machine.can_fetch().map_err(|why| PassedOver::new("Debian's archive", why));
    can_fetch.map(|()| Attempt::FetchCopy)
}

impl Plan {
    /// The error that nothing of the plan is there or can be fetched.
    pub(crate) fn has_failed(&self, pinned: Version) -> Error {
        let passed_over: Vec<String> = self.passed_over.iter().map(ToString::to_string).collect();
        Error::cannot_run(format_args!(
            "there is no Rust compiler here with its library source, which guests need:\n{}\n\
             do one of these:\n\
             \x20   with rustup:       rustup component add rust-src\n\
             \x20   on Debian, Ubuntu: apt install rustc-web rust-web-src lld   (rustc {pinned} or newer)\n\
             \x20   elsewhere:         set GUESTLAB_GUEST_TOOLCHAIN to the sysroot of a rustc {pinned} or \
             newer that has lib/rustlib/src/rust/library",
            indented(&passed_over.join("\n"))
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

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
