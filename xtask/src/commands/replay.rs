//! `replay`: a recording, run again in virtual machines.

use std::ffi::OsString;

use super::passthrough;
use crate::error::Error;
use crate::status::Status;

/// Hands everything to `guestlab replay`.
pub(crate) fn run(arguments: &[OsString], verbose: bool) -> Result<Status, Error> {
    passthrough::run("replay", arguments, verbose)
}
