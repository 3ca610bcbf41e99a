//! Exit statuses: which number says what, and how the process ends with one.

use std::any::Any;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use crate::error::Error;
use crate::output;

/// A number that a process ends with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Status(u8);

impl Status {
    /// Everything went well.
    pub(crate) const SUCCESS: Status = Status(0);
    /// A check of `ci` failed.
    pub(crate) const FAILED_CHECK: Status = Status(1);
    /// Bad usage or bad input; what does not compile counts as bad input.
    pub(crate) const BAD_INPUT: Status = Status(2);
    /// This machine lacks what is needed.
    pub(crate) const CANNOT_RUN: Status = Status(5);
    /// A bug of ours.
    pub(crate) const BUG: Status = Status(70);

    /// The status as a shell has it: a number, or 128+N where signal N ended the program.
    pub(crate) fn from_shell(number: u8) -> Status {
        Status(number)
    }

    /// Says whether this is success.
    pub(crate) fn is_success(self) -> bool {
        self == Status::SUCCESS
    }
}

impl From<ExitStatus> for Status {
    /// Keeps a child's own status; a signal becomes 128+N, as in a shell.
    fn from(child: ExitStatus) -> Status {
        let number = child.code().or_else(|| child.signal().map(|signal| 128 + signal));
        Status(number.and_then(|number| u8::try_from(number).ok()).unwrap_or(Status::BUG.0))
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Prints what is still to be said of an outcome, and turns it into the process's own status.
pub(crate) fn conclude(outcome: Result<Result<Status, Error>, Box<dyn Any + Send>>) -> ExitCode {
    let status = match outcome {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            output::error(&error);
            error.status()
        }
        // The panic's own message has been printed by then.
        Err(_) => {
            output::note("this is a bug in xtask; please report it with the message above");
            Status::BUG
        }
    };
    ExitCode::from(status.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_status_is_kept() {
        assert_eq!(Status::from(ExitStatus::from_raw(3 << 8)), Status(3));
        assert_eq!(Status::from(ExitStatus::from_raw(101 << 8)), Status(101));
    }

    #[test]
    fn a_signal_becomes_128_and_its_number() {
        assert_eq!(Status::from(ExitStatus::from_raw(9)), Status(137));
    }
}
