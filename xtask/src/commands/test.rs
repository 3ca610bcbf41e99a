//! `test`: every test that runs on this machine, with the guests' images at hand: the host's, and then those
//! that run inside guests; or those that boot guests, in the nested machine.

use std::ffi::OsString;

use crate::base::output;
use crate::base::process;
use crate::cargo::{self, Talk};
use crate::cli::Test;
use crate::error::{Error, Status};
use crate::guests::{self, Catalog, Guest, Image, Mode};
use crate::host::Host;
use crate::nested::{self, Parts};
use crate::toolchain;
use crate::workspace::Workspace;

/// Builds all guests and their tests for all modes, then runs the host's tests and those inside guests;
/// arguments mean the host's only. The status is that of the first that failed.
pub(crate) fn run(wish: &Test, verbose: bool) -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    if wish.nested {
        return run_nested(&workspace, &wish.arguments, verbose);
    }
    if wish.guests {
        return run_in_guests(&workspace, wish.mode, &wish.arguments, verbose);
    }
    build_all_guests(&workspace, verbose)?;
    let mut test = cargo::for_host(&workspace.root);
    test.arg("test").args(&wish.arguments).env("GUESTLAB_IMAGES", &workspace.images);
    let status = process::status(&mut test)?;
    if !status.is_success() || !wish.arguments.is_empty() {
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
    let host = Host::build(workspace)?;
    if let Some(flag) = arguments.iter().find(|argument| *argument == "--help" || *argument == "-h") {
        return host.status(&["test".into(), flag.into()]);
    }
    let modes = mode.as_ref().map_or(Mode::WRITTEN, std::slice::from_ref);
    let images = build(workspace, Catalog::of(workspace).tests(), modes, verbose)?;
    let images = images.into_iter().map(|image| image.path);
    let images = images.flat_map(|path| ["--image".into(), path.into_os_string()]);
    let words = ["test".into()].into_iter().chain(images).chain(arguments.iter().cloned());
    host.status(&words.collect::<Vec<_>>())
}

/// What may have to be fetched comes first: nobody likes to wait for a build before that fails.
fn run_nested(workspace: &Workspace, arguments: &[OsString], verbose: bool) -> Result<Status, Error> {
    let parts = Parts::obtain()?;
    let images = build_all_guests(workspace, verbose)?;
    // What parts cargo's arguments from the tests' own has no meaning here.
    let words = arguments.iter().filter(|word| *word != "--");
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    nested::test(workspace, &parts, &images, &words)
}

/// Builds all guests that come with Guestlab and their tests, for all modes. A guest of the user's may be too big
/// for real mode, for example, and no test of Guestlab's needs it.
fn build_all_guests(workspace: &Workspace, verbose: bool) -> Result<Vec<Image>, Error> {
    let catalog = Catalog::of(workspace);
    build(workspace, &[catalog.shipped(), catalog.shipped_tests()].concat(), Mode::WRITTEN, verbose)
}

fn build(
    workspace: &Workspace,
    guests: &[Guest],
    modes: &[Mode],
    verbose: bool,
) -> Result<Vec<Image>, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    if toolchain.fetched || verbose {
        output::note(format_args!("guest toolchain: {toolchain}"));
    }
    let mut images = Vec::new();
    for mode in modes {
        images.extend(guests::build(workspace, &toolchain, guests, *mode, Talk::IfWorking)?);
    }
    Ok(images)
}
