//! The kinds of threads in the jail.

use super::calls::Call;

/// A kind of thread.
#[derive(Clone, Debug)]
pub enum Thread {
    /// Does the work of the process. It may make these calls, and those that every worker needs.
    Worker(Vec<&'static [Call]>),
    /// Interrupts other threads when their time is up.
    Watchdog,
    /// Receives the signals that end the work.
    Signals,
}

impl Thread {
    /// Returns the name of this kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Worker(_) => "worker",
            Self::Watchdog => "watchdog",
            Self::Signals => "signals",
        }
    }
}
