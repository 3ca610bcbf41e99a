//! The ways in which a guest can fail, each with its sentence.

use std::{fmt, time::Duration};

use crate::{
    lab::refused::Refused,
    runlog::{
        ring_check::Refusal,
        text::{escape_control, escape_line},
    },
    vmm::{Crash, PanicReport},
};

/// The way in which a guest failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestEnd {
    /// It exited with a status that is not 0.
    Exited(u32),
    /// It wrote a value that means failure to the exit port of `--pc`.
    ExitPort(u32),
    /// It panicked.
    Panicked(PanicReport),
    /// It crashed.
    Crashed(Crash),
    /// Its experiment refused what it did.
    Refused(Refused),
    /// It was still running after this time.
    Deadline(Duration),
    /// It was still running after this time in one turn.
    TurnTimeout(Duration),
    /// It was still running after this number of exits.
    Exits(u64),
}

impl GuestEnd {
    /// Returns the refused turn, if the guest broke a rule of the ring.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(Refused::Violation(refusal)) => Some(refusal),
            _ => None,
        }
    }

    /// Returns true if the end depends on wall time.
    pub fn is_time_dependent(&self) -> bool {
        matches!(self, Self::Deadline(_) | Self::TurnTimeout(_))
    }

    /// Returns the name of the end in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exited(_) | Self::ExitPort(_) => "exit",
            Self::Panicked(_) => "panic",
            Self::Crashed(crash) => crash.name(),
            Self::Refused(refused) => refused.name(),
            Self::Deadline(_) => "deadline",
            Self::TurnTimeout(_) => "turn-timeout",
            Self::Exits(_) => "max-exits",
        }
    }
}

impl fmt::Display for GuestEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::ExitPort(value) => {
                write!(f, "exited with status {value}, written to the exit port 0xf4")
            }
            Self::Panicked(PanicReport { message, file, line, column }) => {
                let (message, file) = (String::from_utf8_lossy(message), String::from_utf8_lossy(file));
                let (message, file) = (quoted(&message, 4096), escape_line(&cut_off(&file, 256)));
                write!(f, "panicked at {file}:{line}:{column}: {message}")
            }
            Self::Crashed(crash) => write!(f, "{crash}"),
            Self::Refused(refused) => write!(f, "{refused}"),
            Self::Deadline(timeout) => {
                write!(f, "still running after {} s, the deadline", timeout.as_secs_f64())
            }
            Self::TurnTimeout(timeout) => {
                write!(f, "still running after {} s, the time that a turn may take", timeout.as_secs_f64())
            }
            Self::Exits(exits) => {
                write!(f, "still running after {exits} exits, the most that a VM may cause")
            }
        }
    }
}

/// Quotes a guest's text: limits its length, and indents further lines, so that none of them looks like one of the
/// host's.
fn quoted(text: &str, limit: usize) -> String {
    escape_control(&cut_off(text, limit)).to_string().replace('\n', "\n    | ")
}

fn cut_off(text: &str, limit: usize) -> String {
    let mut shown: String = text.chars().take(limit).collect();
    if shown.len() < text.len() {
        shown.push_str(" [cut off]");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_forge_our_lines() {
        let report = PanicReport {
            message: b"oops\nguestlab: all is well\x1b[2J".into(),
            file: vec![b'f'; 70_000],
            line: 1,
            column: 2,
        };
        let text = GuestEnd::Panicked(report).to_string();
        assert!(text.contains(" [cut off]:1:2: oops\n    | guestlab: all is well\\x1b[2J"), "{text}");
        assert!(text.len() < 400);
    }
}
