//! `run`: an experiment or a guest, in a virtual machine.

use std::ffi::OsString;

use super::passthrough;
use crate::error::Error;
use crate::status::Status;

/// Hands everything to `guestlab run`.
pub(crate) fn run(arguments: &[OsString], verbose: bool) -> Result<Status, Error> {
    passthrough::run("run", arguments, verbose)
}
