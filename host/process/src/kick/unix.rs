//! Interruptions by a signal.

use std::{io, mem::MaybeUninit};

/// A thread that can be interrupted. It must be alive when it is.
#[derive(Debug)]
pub(crate) struct Target(libc::pthread_t);

// SAFETY: the handle is only a name of the thread, on every system.
unsafe impl Send for Target {}

impl Target {
    pub(crate) fn this_thread() -> Self {
        // SAFETY: pthread_self has no preconditions.
        Self(unsafe { libc::pthread_self() })
    }

    /// Interrupts the thread's system call.
    pub(crate) fn interrupt(&self) {
        // SAFETY: the thread is alive, because it drops its registration itself, for which it needs the lock that the
        // caller holds.
        unsafe { libc::pthread_kill(self.0, signal()) };
    }
}

/// Returns true if this is the error of a system call that was interrupted.
pub(crate) fn is_kick(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

/// Installs a handler that does nothing, without automatic restart of system calls.
pub(crate) fn prepare() -> io::Result<()> {
    extern "C" fn interrupted(_signal: libc::c_int) {}
    // SAFETY: sigaction is a plain C structure, for which all-zero is valid: no flags (so no
    // SA_RESTART), an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = interrupted as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the action is initialised, and its handler does nothing, which is safe at any
    // point of the program.
    match unsafe { libc::sigaction(signal(), &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the signal that interrupts system calls. The program uses it for nothing else.
#[cfg(target_os = "linux")]
fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

#[cfg(not(target_os = "linux"))]
fn signal() -> libc::c_int {
    libc::SIGUSR2
}
