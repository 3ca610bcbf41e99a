//! Exit statuses: the only file that knows the status of each error.

use std::io;

use crate::{
    lab::error::{Error, Status},
    vmm::BootError,
};

/// Returns the exit status for an error.
pub fn of_error(error: &Error) -> Status {
    match error {
        Error::Usage(_)
        | Error::SameFile(_)
        | Error::Gdb(_)
        | Error::Write { .. }
        | Error::Log(_)
        | Error::Schedule(_)
        | Error::Experiment(_)
        | Error::Image(_)
        | Error::Coverage(_)
        | Error::ImageTooLarge { .. } => Status::BadInput,
        Error::Ram(_)
        | Error::Boot(BootError::Size(_) | BootError::OutOfReach { .. } | BootError::Arguments { .. }) => {
            Status::BadInput
        }
        Error::Boot(BootError::Range { .. }) => Status::Bug,
        Error::Platform(_)
        | Error::NoSteps { .. }
        | Error::ModeMissing { .. }
        | Error::Boot(BootError::Engine(_))
        | Error::Engine(_)
        | Error::Os { .. }
        | Error::Jail(_)
        | Error::Doctor => Status::Machine,
        Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Status::Success,
        Error::Output(_) => Status::Machine,
        // After an interruption the program dies of the signal, and has no status.
        Error::OutputHeld { .. } | Error::Interrupted { .. } => Status::Limit,
        Error::Differs(_) | Error::NotDeterministic(_) | Error::Findings(_) => Status::GuestCrashed,
        Error::Guest(error) | Error::Unrepeatable(error) => Status::of_end(error.end.name()),
        Error::Found(crash) => Status::of_end(&crash.reason),
        Error::Tests(_) => Status::GuestFailed,
        Error::Killed | Error::ViewClosed { .. } => Status::Success,
        Error::Bug(_) => Status::Bug,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        lab::{
            failure::{GuestError, GuestPosition},
            guest_end::GuestEnd,
        },
        vmm::Crash,
    };

    #[test]
    fn statuses_are_the_contracts() {
        let at = GuestPosition { vm: 1, name: "g".into(), turn: None };
        let guest = |end| Error::Guest(Box::new(GuestError { at: at.clone(), end, evidence: None }));
        let expected = [
            (guest(GuestEnd::Exited(7)), 1),
            (guest(GuestEnd::Crashed(Crash::TripleFault)), 3),
            (guest(GuestEnd::Deadline(Duration::from_secs(1))), 4),
            (guest(GuestEnd::TurnTimeout(Duration::from_secs(1))), 4),
            (guest(GuestEnd::Exits(1)), 4),
            (Error::OutputHeld { limit: Duration::from_secs(1) }, 4),
            (Error::Usage(String::new()), 2),
            (Error::Doctor, 5),
            (Error::Bug(String::new()), 70),
            (Error::Output(io::ErrorKind::BrokenPipe.into()), 0),
        ];
        for (error, status) in expected {
            assert_eq!(of_error(&error) as u8, status, "{error}");
        }
        assert_eq!(Status::of_end("violation") as u8, 3);
    }
}
