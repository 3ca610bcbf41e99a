//! `test`: every test that runs on this machine, with the guests' images at hand.

use std::ffi::OsString;

use crate::cargo::{self, Talk};
use crate::error::Error;
use crate::guests::{self, Catalog, Mode};
use crate::output;
use crate::process;
use crate::status::Status;
use crate::toolchain;
use crate::workspace::Workspace;

/// Builds all guests for all modes, then runs `cargo test`, whose status is ours.
pub(crate) fn run(arguments: &[OsString], verbose: bool) -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    build_all_guests(&workspace, verbose)?;
    let mut test = cargo::for_host(&workspace.root);
    test.arg("test").args(arguments).env("GUESTLAB_IMAGES", workspace.images());
    Ok(process::status(&mut test)?)
}

fn build_all_guests(workspace: &Workspace, verbose: bool) -> Result<(), Error> {
    let catalog = Catalog::of(workspace);
    let toolchain = toolchain::find(&workspace.root)?;
    if toolchain.fetched || verbose {
        output::note(format_args!("guest toolchain: {toolchain}"));
    }
    for mode in Mode::WRITTEN {
        guests::build(workspace, &toolchain, catalog.all(), *mode, Talk::IfWorking)?;
    }
    Ok(())
}
