//! Events of the console of Windows, as signals.

use std::{ffi::c_int, io, sync::OnceLock, thread, time::Duration};

use windows_sys::{
    Win32::System::Console::{
        CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, SetConsoleCtrlHandler,
    },
    core::BOOL,
};

use super::signal::Signal;
use crate::jail::Jail;

/// The time for the end of the work after the console was closed. The system ends the process after 5 seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Handles a signal.
static RECEIVED: OnceLock<fn(Signal)> = OnceLock::new();

/// Installs the handler, which the system calls on a thread of its own.
pub(super) fn start(_jail: &Jail, received: fn(Signal)) -> io::Result<()> {
    RECEIVED.get_or_init(|| received);
    // SAFETY: the handler does nothing that a thread must not do.
    match unsafe { SetConsoleCtrlHandler(Some(handle), 1) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Handles an event. Returns true, so that no other handler follows.
unsafe extern "system" fn handle(event: u32) -> BOOL {
    let signal = match event {
        CTRL_C_EVENT => Signal::INTERRUPT,
        CTRL_BREAK_EVENT => Signal::BREAK,
        CTRL_CLOSE_EVENT | CTRL_LOGOFF_EVENT => Signal::HANGUP,
        _ => Signal::TERMINATE,
    };
    if let Some(received) = RECEIVED.get() {
        received(signal);
    }
    // The process ends when the handler of these events returns.
    if ![CTRL_C_EVENT, CTRL_BREAK_EVENT].contains(&event) {
        thread::sleep(PATIENCE);
    }
    1
}

/// Does nothing: no process here dies of a signal.
pub(super) fn end_by(_signal: c_int) {}

/// Does nothing: no signal tells of a full file here.
pub fn survive_full_files() {}
