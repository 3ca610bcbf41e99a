//! The jail: before a guest's first instruction each thread gives up what it does not need any more. A
//! guest that had found a way to take over a thread would find it without rights, and with the few system
//! calls that are listed in `calls.rs`.
//!
//! What is needed later is opened before; threads are started before. `docs/security.md` says what this
//! protects from, and what not.

mod calls;
mod files;
mod filter;
mod heap;
mod privileges;
mod sigsys;

use std::{io, sync::mpsc, thread::JoinHandle};

use crate::process::stack;

pub use calls::{Argument, Call, Needs, Test, Thread};
pub use files::note_inherited_files;
pub use filter::program;
pub use heap::share_one_arena;
pub use privileges::{confine as give_up_rights, shed as shed_set_user_id};
pub use sigsys::VIOLATION;

/// How a process is confined while guests run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jail {
    /// Not at all: it is to do other things afterwards. Tests are such.
    Open,
    /// Without capabilities and without a way to new rights, but with every system call.
    Rights,
    /// With the listed system calls only.
    Calls {
        /// A call to be left out of the lists, as `THREAD/CALL`: what shows that it is needed.
        without: Option<String>,
    },
}

impl Jail {
    /// The jail that was asked for, as far as this kernel has it.
    pub fn new(filtered: bool, without: Option<&str>) -> Self {
        match filtered && is_available() {
            true => Self::Calls { without: without.map(str::to_owned) },
            false => Self::Rights,
        }
    }

    /// Prepares the process: from now on a call that is not listed is told of before it kills, and a panic
    /// is told of without files being read for it.
    ///
    /// # Errors
    ///
    /// The system gave no signal handler.
    pub fn prepare(&self) -> io::Result<()> {
        match self {
            Self::Open | Self::Rights => Ok(()),
            Self::Calls { .. } => sigsys::install(),
        }
    }

    /// Confines the calling thread, for good.
    ///
    /// # Errors
    ///
    /// The system refused a call.
    pub fn enter(&self, thread: Thread) -> io::Result<()> {
        // A thread in the jail can open no file to find it.
        stack::lowest();
        if *self != Self::Open && matches!(thread, Thread::Vcpu(_)) {
            files::close_inherited();
        }
        match self {
            Self::Open => Ok(()),
            Self::Rights => privileges::confine(),
            Self::Calls { without } => {
                let program = filter::program(thread, without.as_deref())?;
                privileges::confine()?;
                filter::apply(&program)
            }
        }
    }
}

/// Starts a thread that is in the jail when this returns.
///
/// # Errors
///
/// The system gave no thread, or refused a call.
pub fn spawn(
    jail: &Jail,
    thread: Thread,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (told, entered) = mpsc::sync_channel(1);
    let jail = jail.clone();
    let spawned = std::thread::Builder::new().name(thread.name().into()).spawn(move || {
        let outcome = jail.enter(thread);
        let is_in = outcome.is_ok();
        // Whoever started it waits for this.
        let _ = told.send(outcome);
        if is_in {
            body();
        }
    })?;
    entered.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
    Ok(spawned)
}

/// Whether this kernel has what the jail is made of.
pub fn is_available() -> bool {
    filter::is_available()
}
