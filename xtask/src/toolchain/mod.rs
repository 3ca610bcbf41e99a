//! The toolchain that builds guests: a compiler and the *matching* source of `core`.
//!
//! Which one is taken is decided by [`select`] from what [`installed`] sees; [`debian`] makes the
//! private copy that is the last resort.

mod debian;
mod installed;
mod select;
mod sysroot;
mod version;

use std::path::Path;
use std::process::Command;

use installed::ThisMachine;
pub(crate) use select::Origin;
use select::{Attempt, Machine, PassedOver};
use sysroot::Linker;
pub(crate) use sysroot::Sysroot;
use version::Version;

use crate::base::{output, process};
use crate::cargo;
use crate::error::Error;

/// A compiler that can build guests, with all that it needs.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// Where it is.
    pub(crate) sysroot: Sysroot,
    /// What links guests.
    pub(crate) linker: Linker,
    /// It was not there before.
    pub(crate) fetched: bool,
}

/// What a build of guests will find.
#[derive(Debug)]
pub(crate) enum Forecast {
    /// A toolchain that is there.
    Ready(Toolchain),
    /// Something must be fetched first; this says how.
    ToFetch(String),
}

/// Finds out what [`find`] would do, without fetching anything.
pub(crate) fn forecast(root: &Path) -> Result<Forecast, Error> {
    let machine = ThisMachine::new(root);
    let mut plan = select::decide(&machine, Version::pinned())?;
    match plan.attempts.first() {
        Some(Attempt::Use(origin, sysroot)) => {
            equipped(*origin, Sysroot::new(sysroot), false, &machine).map(Forecast::Ready)
        }
        Some(Attempt::AddRustSrc) => Ok(Forecast::ToFetch(
            "the first build will ask rustup for the library source (rust-src, about 3 MB)".into(),
        )),
        Some(Attempt::FetchCopy) => match machine.rehearse_copy() {
            Ok(bytes) => Ok(Forecast::ToFetch(format!(
                "the first build will fetch a private copy from Debian's archive ({} MB)",
                bytes.div_ceil(1_000_000)
            ))),
            Err(error) => {
                plan.passed_over.push(PassedOver::new("Debian's archive", error));
                Err(plan.has_failed(Version::pinned()))
            }
        },
        None => Err(plan.has_failed(Version::pinned())),
    }
}

/// Finds the toolchain, and fetches it if it must.
pub(crate) fn find(root: &Path) -> Result<Toolchain, Error> {
    let machine = ThisMachine::new(root);
    let mut plan = select::decide(&machine, Version::pinned())?;
    for attempt in &plan.attempts {
        match perform(attempt, &machine) {
            Ok((origin, sysroot)) => {
                let fetched = !matches!(attempt, Attempt::Use(..));
                return equipped(origin, sysroot, fetched, &machine);
            }
            Err(passed_over) => plan.passed_over.push(passed_over),
        }
    }
    Err(plan.has_failed(Version::pinned()))
}

/// Finds what links for a toolchain that is there.
fn equipped(
    origin: Origin,
    sysroot: Sysroot,
    fetched: bool,
    machine: &ThisMachine,
) -> Result<Toolchain, Error> {
    let active = || machine.active().ok().map(Sysroot::new);
    let linker = sysroot.linker(active)?;
    Ok(Toolchain { origin, sysroot, linker, fetched })
}

fn perform(attempt: &Attempt, machine: &ThisMachine) -> Result<(Origin, Sysroot), PassedOver> {
    match attempt {
        Attempt::Use(origin, sysroot) => Ok((*origin, Sysroot::new(sysroot))),
        Attempt::AddRustSrc => add_rust_src(machine),
        Attempt::FetchCopy => machine
            .fetch_copy()
            .map(|copy| (Origin::PrivateCopy, Sysroot::new(copy)))
            .map_err(|error| PassedOver::new("Debian's archive", error)),
    }
}

fn add_rust_src(machine: &ThisMachine) -> Result<(Origin, Sysroot), PassedOver> {
    let passed_over = |why: &dyn std::fmt::Display| PassedOver::new("rustup", why);
    output::note("guest toolchain: asking rustup for the library source (rust-src)");
    if let Err(error) = process::output(&mut machine.rustup_add_rust_src()) {
        output::note(format_args!(
            "warning: {error}\n    RUSTUP_AUTO_INSTALL=0 in the environment keeps xtask from asking rustup"
        ));
        return Err(passed_over(&error));
    }
    let sysroot = machine.active().map_err(|why| passed_over(&why))?;
    match machine.missing(&sysroot).as_slice() {
        [] => Ok((Origin::Active, Sysroot::new(sysroot))),
        missing => Err(passed_over(&sysroot::lacks(&sysroot, missing))),
    }
}

impl Toolchain {
    /// Points a cargo command at this toolchain, for guests of this target.
    pub(crate) fn equip(&self, command: &mut Command, target: &str) {
        // `core` for a custom target needs what is not stable yet, on a compiler that is.
        command.env("RUSTC_BOOTSTRAP", "1");
        if self.origin != Origin::Active {
            self.sysroot.point_to(command);
        }
        if let Linker::Elsewhere(linker) = &self.linker {
            let target = target.replace('-', "_").to_uppercase();
            command.env(format!("CARGO_TARGET_{target}_LINKER"), linker);
        }
    }

    /// What to do if the library's source does not compile, which is not a guest's fault.
    pub(crate) fn if_core_is_damaged(&self) -> String {
        let (library, sysroot) = (self.sysroot.library(), self.sysroot.path());
        let mend = match self.origin {
            // The copy is the sysroot's parent folder: it has Debian's `usr`.
            Origin::PrivateCopy => format!(
                "remove {} and run this again: it is fetched anew",
                output::short(sysroot.parent().unwrap_or(sysroot))
            ),
            Origin::Active => "rustup component remove rust-src, then rustup component add rust-src".into(),
            Origin::Distribution => "install the package with the library's source again".into(),
            Origin::Named => "name another in GUESTLAB_GUEST_TOOLCHAIN, or mend it".into(),
        };
        format!(
            "\nif it names files of `core`, the library's source is damaged: {}\n  try: {mend}",
            output::short(&library)
        )
    }

    /// The command that is `cargo clippy` on this toolchain.
    pub(crate) fn clippy(&self) -> Result<Command, Error> {
        if self.origin == Origin::Active {
            let mut clippy = Command::new(cargo::program());
            clippy.arg("clippy");
            return Ok(clippy);
        }
        let program = self.sysroot.path().join("bin/cargo-clippy");
        if !program.is_file() {
            return Err(Error::cannot_run(format_args!(
                "the guests' toolchain has no clippy: {} is missing\n\
                 name one that has it in GUESTLAB_GUEST_TOOLCHAIN",
                output::short(&program)
            )));
        }
        let mut clippy = Command::new(program);
        clippy.arg("clippy").env("CARGO", cargo::program());
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
