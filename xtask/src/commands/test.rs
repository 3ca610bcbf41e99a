//! `test`: every test that runs on this machine, with the guests' images at hand; or those that
//! boot guests, in the nested machine.

use std::ffi::OsString;

use crate::cargo::{self, Talk};
use crate::cli::Test;
use crate::error::Error;
use crate::guests::{self, Catalog, Image, Mode};
use crate::nested::{self, Parts};
use crate::output;
use crate::process;
use crate::status::Status;
use crate::toolchain;
use crate::workspace::Workspace;

/// Builds all guests for all modes, then runs the tests, whose status is ours.
pub(crate) fn run(wish: &Test, verbose: bool) -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    if wish.nested {
        return run_nested(&workspace, &wish.arguments, verbose);
    }
    build_all_guests(&workspace, verbose)?;
    let mut test = cargo::for_host(&workspace.root);
    test.arg("test").args(&wish.arguments).env("GUESTLAB_IMAGES", workspace.images);
    Ok(process::status(&mut test)?)
}

/// What may have to be fetched comes first: nobody likes to wait for a build before that fails.
fn run_nested(workspace: &Workspace, arguments: &[OsString], verbose: bool) -> Result<Status, Error> {
    let parts = Parts::obtain()?;
    let images = build_all_guests(workspace, verbose)?;
    // What parts cargo's arguments from the tests' own has no meaning here.
    let words = arguments.iter().filter(|word| *word != "--");
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    Ok(nested::test(workspace, &parts, &images, &words)?)
}

fn build_all_guests(workspace: &Workspace, verbose: bool) -> Result<Vec<Image>, Error> {
    let catalog = Catalog::of(workspace);
    let toolchain = toolchain::find(&workspace.root)?;
    if toolchain.fetched || verbose {
        output::note(format_args!("guest toolchain: {toolchain}"));
    }
    let mut images = Vec::new();
    for mode in Mode::WRITTEN {
        images.extend(guests::build(workspace, &toolchain, catalog.all(), *mode, Talk::IfWorking)?);
    }
    Ok(images)
}
