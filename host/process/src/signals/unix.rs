//! Signals of Unix.

use std::{ffi::c_int, io, mem::MaybeUninit};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level,
};

use super::signal::Signal;
use crate::jail::{self, Jail};

/// Starts the thread that receives signals, in the jail.
pub(super) fn start(jail: &Jail, received: fn(Signal)) -> io::Result<()> {
    let handled = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|&signal| !is_ignored(signal));
    let mut signals = Signals::new(handled)?;
    let receive = move || signals.forever().for_each(|signal| received(Signal(signal)));
    jail::spawn(jail, jail::Thread::Signals, receive).map(drop)
}

/// Ends the process by a signal. Returns only if the system refuses.
pub(super) fn end_by(signal: c_int) {
    let _ = low_level::emulate_default_handler(signal);
}

/// Ignores SIGXFSZ: a write to a file at its size limit fails, instead of killing the process.
pub fn survive_full_files() {
    // SAFETY: only the signal's default action is replaced.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is set, and the pointer is to a sigaction structure.
    if unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: sigaction is a plain C structure, for which all-zero is valid; it has been filled since.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
