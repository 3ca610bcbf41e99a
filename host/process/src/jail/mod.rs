//! The jail: each thread gives up its rights, and the system calls that it does not need, before untrusted work
//! begins. If that work took over a thread, it would have no rights and only a few system calls.
//!
//! A process opens files and starts threads before it enters the jail. `docs/security.md` lists what the jail
//! protects against.

// Linux on x86-64 has all of the jail. Elsewhere there are no lists of system calls, and other systems keep their rights.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod calls;
#[cfg(target_os = "linux")]
mod files;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod filter;
#[cfg(target_os = "linux")]
mod heap;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod no_filters;
#[cfg(not(target_os = "linux"))]
mod no_rights;
#[cfg(target_os = "linux")]
mod privileges;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod sigsys;
mod thread;

use std::{io, sync::mpsc, thread::JoinHandle};

use crate::stack;

pub use calls::Call;
#[cfg(target_os = "linux")]
use files::close_inherited;
#[cfg(target_os = "linux")]
pub use files::note_inherited_files;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use filter::program;
#[cfg(target_os = "linux")]
pub use heap::{share_arenas, share_one_arena};
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub use no_filters::calls;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
use no_filters::{self as filter, install};
#[cfg(not(target_os = "linux"))]
use no_rights::close_inherited;
#[cfg(not(target_os = "linux"))]
pub use no_rights::{give_up_rights, note_inherited_files, share_arenas, share_one_arena, shed_set_user_id};
#[cfg(target_os = "linux")]
pub use privileges::{give_up_rights, shed_set_user_id};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use sigsys::VIOLATION;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use sigsys::install;
pub use thread::Thread;

/// The confinement of the threads of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jail {
    /// None, because the process does other things afterwards. Tests use it.
    Open,
    /// No capabilities and no way to new rights, but every system call.
    Rights,
    /// No rights, and the listed system calls only.
    Calls,
}

impl Jail {
    /// Returns [`Calls`](Self::Calls) if it is wanted (`filtered`) and this system has filters, otherwise
    /// [`Rights`](Self::Rights).
    pub fn new(filtered: bool) -> Self {
        match filtered && absence().is_none() {
            true => Self::Calls,
            false => Self::Rights,
        }
    }

    /// Prepares the process: from now on it names a call that is not listed before it dies of it.
    ///
    /// `report` writes the messages of panics. They have no backtrace, because that would need files.
    ///
    /// # Errors
    ///
    /// The system did not install a signal handler.
    pub fn prepare(&self, report: fn(&str)) -> io::Result<()> {
        match self {
            Self::Open | Self::Rights => Ok(()),
            Self::Calls => install(report),
        }
    }

    /// Confines the calling thread forever.
    ///
    /// # Errors
    ///
    /// The system refused a call.
    pub fn enter(&self, thread: &Thread) -> io::Result<()> {
        // The first call opens a file, which a thread in the jail cannot do.
        stack::lowest();
        if *self != Self::Open && matches!(thread, Thread::Worker(_)) {
            close_inherited();
        }
        match self {
            Self::Open => Ok(()),
            Self::Rights => give_up_rights(),
            Self::Calls => {
                give_up_rights()?;
                filter::confine(thread)
            }
        }
    }
}

/// Starts a thread, and waits until it is in the jail.
///
/// # Errors
///
/// The system did not start a thread, or refused a call.
pub fn spawn(
    jail: &Jail,
    thread: Thread,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (sender, entered) = mpsc::sync_channel(1);
    let jail = *jail;
    let spawned = std::thread::Builder::new().name(thread.name().into()).spawn(move || {
        let outcome = jail.enter(&thread);
        let is_in = outcome.is_ok();
        // The thread that started this one waits for the outcome.
        let _ = sender.send(outcome);
        if is_in {
            body();
        }
    })?;
    entered.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
    Ok(spawned)
}

/// Returns a sentence that says that this system has no filters of system calls, if it has none.
pub fn absence() -> Option<&'static str> {
    filter::absence()
}

/// Returns true if this system has the filters that the whole jail needs.
pub fn is_available() -> bool {
    absence().is_none()
}
