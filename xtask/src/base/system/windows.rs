//! Processes of Windows.

use std::process::{Command, ExitStatus};
use std::{io, process};

use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
use windows_sys::core::BOOL;

/// Runs another program in place of this one, and ends with its status. Ctrl-C is the other program's: the console sends it
/// to both. Returns if the program does not start.
pub(crate) fn exec(command: &mut Command) -> io::Error {
    // SAFETY: the handler does nothing. A refusal only means that Ctrl-C ends this program first.
    unsafe { SetConsoleCtrlHandler(Some(ignore), 1) };
    match command.status() {
        Ok(status) => process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

/// Handles an event of the console: not at all. Returns true, so that no other handler follows.
unsafe extern "system" fn ignore(_event: u32) -> BOOL {
    1
}

/// Returns the signal that ended a process: there are none.
pub(crate) fn signal(_status: ExitStatus) -> Option<i32> {
    None
}
