//! Processes of Unix.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

/// Replaces this program by another, so that signals, terminal and status are its own. Returns if that fails.
pub(crate) fn exec(command: &mut Command) -> io::Error {
    command.exec()
}

/// Returns the signal that ended a process.
pub(crate) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}
