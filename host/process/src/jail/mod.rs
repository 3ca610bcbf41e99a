//! The jail: each thread gives up its rights, and the system calls that it does not need, before untrusted work
//! begins. If that work took over a thread, it would have no rights and only a few system calls.
//!
//! A process opens files and starts threads before it enters the jail. `docs/security.md` lists what the jail
//! protects against.

pub mod calls;
mod files;
mod filter;
mod heap;
mod privileges;
mod sigsys;

use std::{io, sync::mpsc, thread::JoinHandle};

use crate::stack;

pub use calls::{Call, Thread};
pub use files::note_inherited_files;
pub use filter::program;
pub use heap::share_one_arena;
pub use privileges::{confine as give_up_rights, shed as shed_set_user_id};
pub use sigsys::VIOLATION;

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
    /// Returns [`Calls`](Self::Calls) if it is wanted (`filtered`) and this kernel has filters, otherwise
    /// [`Rights`](Self::Rights).
    pub fn new(filtered: bool) -> Self {
        match filtered && is_available() {
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
            Self::Calls => sigsys::install(report),
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
            files::close_inherited();
        }
        match self {
            Self::Open => Ok(()),
            Self::Rights => privileges::confine(),
            Self::Calls => {
                let program = filter::program(thread)?;
                privileges::confine()?;
                filter::apply(&program)
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

/// Returns true if this kernel has the filters that the jail needs.
pub fn is_available() -> bool {
    filter::is_available()
}
