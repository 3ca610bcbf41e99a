//! Exit statuses, and the one error of xtask: a message and the status that goes with it.
//!
//! No code decides by the kind of an error: xtask prints it and ends. So there is one type, and the message is
//! written where the failure happens.

use std::fmt::{self, Display};
use std::process::{ExitCode, ExitStatus};
use std::{io, path::Path};

use crate::base::output::short;
use crate::base::system;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Status(u8);

impl Status {
    pub(crate) const SUCCESS: Status = Status(0);
    /// A check of `ci` failed.
    pub(crate) const FAILED_CHECK: Status = Status(1);
    /// Bad usage or bad input. Code that does not compile counts as bad input.
    pub(crate) const BAD_INPUT: Status = Status(2);
    /// This machine lacks a program, a file or the network.
    pub(crate) const CANNOT_RUN: Status = Status(5);
    pub(crate) const BUG: Status = Status(70);

    pub(crate) fn from_shell(number: u8) -> Status {
        Status(number)
    }

    pub(crate) fn is_success(self) -> bool {
        self == Status::SUCCESS
    }
}

impl From<ExitStatus> for Status {
    /// Keeps a child's own status. Signal N becomes 128+N, as in a shell.
    fn from(child: ExitStatus) -> Status {
        let number = child.code().or_else(|| system::signal(child).map(|signal| 128 + signal));
        Status(number.and_then(|number| u8::try_from(number).ok()).unwrap_or(Status::BUG.0))
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(status.0)
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The reason why a command ended early. The first line says what happened; the others say what to do.
#[derive(Debug)]
pub(crate) struct Error {
    status: Status,
    message: String,
}

impl Error {
    pub(crate) fn bad_input(message: impl Display) -> Error {
        Error { status: Status::BAD_INPUT, message: message.to_string() }
    }

    /// An error of the machine: a program, a file or the network is missing.
    pub(crate) fn cannot_run(message: impl Display) -> Error {
        Error { status: Status::CANNOT_RUN, message: message.to_string() }
    }

    pub(crate) fn bug(message: impl Display) -> Error {
        Error { status: Status::BUG, message: format!("{message}; please report this as a bug") }
    }

    /// Returns a function for `map_err`, which says that `action` failed for this file or folder.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::cannot_run(format_args!("cannot {action} {}: {source}", short(path)))
    }

    /// Returns the same error with a new message, which `describe` makes of the old one.
    pub(crate) fn map(self, describe: impl FnOnce(&str) -> String) -> Error {
        Error { message: describe(&self.message), ..self }
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

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

    #[test]
    fn an_error_of_a_file_names_it() {
        let error = Error::file("read", Path::new("/no/such"))(io::ErrorKind::NotFound.into());
        assert_eq!(error.status(), Status::CANNOT_RUN);
        assert!(error.to_string().starts_with("cannot read /no/such: "), "{error}");
    }
}
