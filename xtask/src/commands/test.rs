//! `test`: builds the guests and runs all tests, the quick ones first; or only those; or those inside guests; or those
//! that boot guests, in the nested machine.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use clap::ValueEnum;

use crate::error::{Error, Status};
use crate::guests::{self, Build, Catalog, Guest, Image, Mode};
use crate::host::{Host, Profile};
use crate::nested::{self, Parts};
use crate::{base::output, base::process, cargo, cli::Test, toolchain, workspace::Workspace};

/// The tests outside of guests, the quick ones first: arguments of `cargo test`.
const UNITS: &[&str] = &["--lib", "--bins"];
const STRUCTURE: &[&str] = &["--package", "xtask", "--test", "source"];
const SLOW: [&[&str]; 2] = [&["--test", "*"], &["--doc"]];

/// The arguments of `guestlab` that find out whether KVM works.
const DOCTOR: [&str; 3] = ["doctor", "--engine", "kvm"];

/// The tests that boot guests, which run once more, for the interpreter. Without this they are for KVM where it works.
const BOOTING: &[&str] = &["--package", "guestlab", "--test", "suite"];
const INTERPRETER: (&str, &str) = ("GUESTLAB_ENGINE", "soft");

/// Runs the tests, and returns the status of the first that failed. Arguments select tests of the host only.
pub(crate) fn run(options: &Test, verbose: bool) -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    if options.nested {
        return run_nested(&workspace, &options.arguments, verbose);
    }
    if options.guests {
        return run_in_guests(&workspace, options.mode, &options.arguments, verbose);
    }
    if options.quick {
        return run_quick(&workspace, verbose);
    }
    if !options.arguments.is_empty() {
        build_all_guests(&workspace, verbose)?;
        return run_outside(&workspace, &options.arguments);
    }
    let build = std::iter::once_with(|| build_everything(&workspace, verbose));
    let quick = std::iter::once_with(|| run_quick(&workspace, verbose));
    let slow = SLOW.iter().map(|selection| run_outside(&workspace, selection));
    let again = std::iter::once_with(|| run_on_interpreter(&workspace));
    until_failure(build.chain(quick).chain(slow).chain(again))
}

fn run_quick(workspace: &Workspace, verbose: bool) -> Result<Status, Error> {
    let outside = [UNITS, STRUCTURE].into_iter().map(|selection| run_outside(workspace, selection));
    let inside = std::iter::once_with(|| run_in_guests(workspace, None, &[], verbose));
    until_failure(outside.chain(inside))
}

/// Runs tests outside of guests, by the arguments of `cargo test`.
fn run_outside(workspace: &Workspace, arguments: &[impl AsRef<OsStr>]) -> Result<Status, Error> {
    process::status(&mut cargo_test(workspace, arguments))
}

/// Runs the tests that boot guests on the interpreter. On a machine without KVM they have run on it already.
fn run_on_interpreter(workspace: &Workspace) -> Result<Status, Error> {
    let host = Host::build(workspace, Profile::Dev)?;
    let has_kvm = process::capture(&mut host.command(&DOCTOR.map(OsString::from)))?.status.success();
    if !has_kvm {
        output::note("KVM does not work here: the interpreter has run the tests that boot guests");
        return Ok(Status::SUCCESS);
    }
    output::note("the tests that boot guests, once more: the interpreter runs them");
    let (variable, engine) = INTERPRETER;
    process::status(cargo_test(workspace, BOOTING).env(variable, engine))
}

fn cargo_test(workspace: &Workspace, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut test = cargo::for_host(&workspace.root);
    test.arg("test").args(arguments).env("GUESTLAB_IMAGES", &workspace.images);
    test
}

/// Compiles the tests and, at the same time, the guests. Returns the status of the first.
fn build_everything(workspace: &Workspace, verbose: bool) -> Result<Status, Error> {
    std::thread::scope(|scope| {
        let guests = scope.spawn(|| build_all_guests(workspace, verbose));
        let tests = run_outside(workspace, &["--no-run", "--quiet"]);
        guests.join().expect("a panic here is a bug of xtask")?;
        tests
    })
}

/// Runs one after another, and returns the first status that is a failure.
pub(super) fn until_failure(mut runs: impl Iterator<Item = Result<Status, Error>>) -> Result<Status, Error> {
    runs.find(|run| !matches!(run, Ok(status) if status.is_success())).unwrap_or(Ok(Status::SUCCESS))
}

/// Runs the tests inside guests, for a mode or for all, in one run with one report.
fn run_in_guests(
    workspace: &Workspace,
    mode: Option<Mode>,
    arguments: &[OsString],
    verbose: bool,
) -> Result<Status, Error> {
    let host = Host::build(workspace, Profile::Dev)?;
    if let Some(flag) = arguments.iter().find(|argument| *argument == "--help" || *argument == "-h") {
        return host.status(&["test".into(), flag.into()]);
    }
    let modes = mode.as_ref().map_or(Mode::value_variants(), std::slice::from_ref);
    let images = build(workspace, &Catalog::of(workspace).tests, modes, verbose)?;
    let images = images.into_iter().flat_map(|image| ["--image".into(), image.path.into_os_string()]);
    let words = ["test".into()].into_iter().chain(images).chain(arguments.iter().cloned());
    host.status(&words.collect::<Vec<_>>())
}

/// Fetches before it builds: a download may fail.
fn run_nested(workspace: &Workspace, arguments: &[OsString], verbose: bool) -> Result<Status, Error> {
    let parts = Parts::obtain()?;
    let images = build_all_guests(workspace, verbose)?;
    // Cargo's separator has no meaning for the test programs.
    let words = arguments.iter().filter(|word| *word != "--");
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    nested::test(workspace, &parts, &images, &words)
}

/// Builds Guestlab's own guests and their tests, for all modes. A user's guest may be too big for real mode.
fn build_all_guests(workspace: &Workspace, verbose: bool) -> Result<Vec<Image>, Error> {
    let catalog = Catalog::of(workspace);
    let guests = [guests::shipped(&catalog.guests), guests::shipped(&catalog.tests)].concat();
    build(workspace, &guests, Mode::value_variants(), verbose)
}

fn build(
    workspace: &Workspace,
    guests: &[Guest],
    modes: &[Mode],
    verbose: bool,
) -> Result<Vec<Image>, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    toolchain.report(verbose);
    let images = modes.iter().map(|mode| Build::new(workspace, &toolchain, *mode).run(guests));
    Ok(images.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}
