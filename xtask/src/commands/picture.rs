//! `picture`: draws the run that README shows.

use crate::docs;
use crate::error::Error;
use crate::output::{self, short};
use crate::process;
use crate::status::Status;
use crate::workspace;

/// The run, as it is typed; the words are what follows `cargo`.
const RUN: &str = "xtask run prodcons --seed 7 --schedule string:12211222";

/// Where the picture is, from Guestlab's folder.
const PICTURE: &str = "docs/run.svg";

/// Runs the command, and draws what it printed.
pub(crate) fn run() -> Result<Status, Error> {
    let root = workspace::root();
    let mut command = crate::cargo::for_host(&root);
    let printed = process::output(command.args(RUN.split(' ')))?;
    let path = root.join(PICTURE);
    docs::write(&path, &docs::draw(&format!("cargo {RUN}"), &printed))?;
    output::line(short(&path));
    Ok(Status::SUCCESS)
}
