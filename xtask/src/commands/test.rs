//! `test`: builds the guests and runs all tests: the host's, and then those inside guests; or those that boot guests, in
//! the nested machine.

use std::ffi::OsString;

use clap::ValueEnum;

use crate::error::{Error, Status};
use crate::guests::{self, Build, Catalog, Guest, Image, Mode};
use crate::host::{Host, Profile};
use crate::nested::{self, Parts};
use crate::{base::process, cargo, cli::Test, toolchain, workspace::Workspace};

/// Runs the tests, and returns the status of the first that failed. Arguments select tests of the host only.
pub(crate) fn run(options: &Test, verbose: bool) -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    if options.nested {
        return run_nested(&workspace, &options.arguments, verbose);
    }
    if options.guests {
        return run_in_guests(&workspace, options.mode, &options.arguments, verbose);
    }
    build_all_guests(&workspace, verbose)?;
    let mut test = cargo::for_host(&workspace.root);
    test.arg("test").args(&options.arguments).env("GUESTLAB_IMAGES", &workspace.images);
    let status = process::status(&mut test)?;
    if !status.is_success() || !options.arguments.is_empty() {
        return Ok(status);
    }
    run_in_guests(&workspace, None, &[], verbose)
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
