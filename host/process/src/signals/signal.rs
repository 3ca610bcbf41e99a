//! The signals that end the work, by their numbers.

use std::{ffi::c_int, fmt};

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub(super) c_int);

/// The signals that end the work, each with its number and its name.
const NAMES: [(Signal, &str); 4] = [
    (Signal::HANGUP, "SIGHUP"),
    (Signal::INTERRUPT, "SIGINT"),
    (Signal::TERMINATE, "SIGTERM"),
    (Signal::BREAK, "SIGBREAK"),
];

impl Signal {
    /// The terminal is gone.
    pub(super) const HANGUP: Self = Self(1);
    /// Ctrl-C.
    pub(super) const INTERRUPT: Self = Self(2);
    /// Another process asks for the end.
    pub(super) const TERMINATE: Self = Self(15);
    /// Ctrl-Break, on Windows.
    pub(super) const BREAK: Self = Self(21);
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(signal, _)| signal == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}
