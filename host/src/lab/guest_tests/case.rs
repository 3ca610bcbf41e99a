//! Runs one test in its own VM.

use super::config::TestConfig;
use crate::{
    lab::{
        error::Error,
        guest_end::GuestEnd,
        session::Session,
        vm::{Platform, Vm},
    },
    output::warn,
    runlog::text::{escape_control, escape_line},
    views::transcript::Transcript,
    vmm::{BootError, Crash, HvaPolicy, Image, Parameters, StopReason, Test},
};

/// The result of a test.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It passed.
    Passed,
    /// It failed, with the guest's output and the reason.
    Failed(String),
    /// It was not run, with the reason, which may be empty.
    Ignored(String),
}

/// Runs a test.
///
/// # Errors
///
/// Something other than the test failed.
pub(super) fn run(
    system: &Platform,
    config: &TestConfig,
    session: &Session<'_>,
    image: &Image,
    test: &Test,
) -> Result<Verdict, Error> {
    let arguments = [test.name.clone()];
    let parameters = Parameters { vm: 1, seed: config.seed, memory: config.memory, arguments: &arguments };
    let machine = match Vm::new(system, image, parameters, HvaPolicy::DenySilently) {
        // The name in the image is longer than the space for arguments.
        Err(error @ BootError::Arguments { .. }) => {
            return Ok(Verdict::Failed(format!(
                "note: the test cannot run because its name is too long: {error}\n"
            )));
        }
        machine => machine?,
    };
    let mut transcript = Transcript::new(Vec::new(), false, false, warn);
    let session = session.once_more(&mut transcript);
    let outcome = run_to_end(&session, machine);
    drop(session);
    match complaint(outcome, test.should_panic.as_deref())? {
        None => Ok(Verdict::Passed),
        Some(complaint) => {
            let text = String::from_utf8_lossy(&transcript.into_writer()).into_owned();
            Ok(Verdict::Failed(text + &complaint))
        }
    }
}

/// Runs the turns of a test that is alone in a ring.
fn run_to_end(session: &Session<'_>, mut machine: Vm) -> Result<(), Error> {
    let outcome = loop {
        match session.run(&mut machine, None) {
            Ok(StopReason::Attached | StopReason::TurnEnded) => {}
            other => break other.map(|_| ()),
        }
    };
    session.conclude(outcome, None, &[machine], false)
}

/// Returns the reason why a test failed, or `None` if it passed.
fn complaint(outcome: Result<(), Error>, should_panic: Option<&str>) -> Result<Option<String>, Error> {
    let error = match outcome {
        Ok(()) => {
            let missing = should_panic.map(|_| "note: the test did not panic, as it should\n".into());
            return Ok(missing);
        }
        Err(Error::Guest(error)) => error,
        Err(other) => return Err(other),
    };
    let report = || escape_control(&format!("{error}\n")).to_string();
    Ok(match (&error.end, should_panic) {
        (GuestEnd::Panicked(panic), Some(expected)) => {
            let as_expected = String::from_utf8_lossy(&panic.message).contains(expected);
            let wanted = escape_line(expected);
            (!as_expected)
                .then(|| report() + &format!("note: the panic's message should contain `{wanted}`\n"))
        }
        // An exception passes only a test that names it: it can come from anywhere.
        (GuestEnd::Crashed(Crash::Trap(trap)), Some(expected))
            if !expected.is_empty() && trap.to_string().contains(expected) =>
        {
            None
        }
        (_, Some(_)) => Some(report() + "note: the test did not panic, as it should\n"),
        (_, None) => Some(report()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lab::failure::{GuestError, GuestPosition},
        vmm::{PanicReport, TrapReport},
    };

    fn undefined_instruction() -> GuestEnd {
        let record = guest_abi::block::Trap { vector: 6, ..Default::default() };
        GuestEnd::Crashed(Crash::Trap(Box::new(TrapReport::new(record, false))))
    }

    fn ended(end: GuestEnd) -> Result<(), Error> {
        let at = GuestPosition { vm: 1, name: "g".into(), turn: None };
        Err(Error::Guest(Box::new(GuestError { at, end, evidence: None })))
    }

    fn panicked(message: &str) -> Result<(), Error> {
        let report = PanicReport { message: message.into(), file: b"t.rs".into(), line: 1, column: 2 };
        ended(GuestEnd::Panicked(report))
    }

    #[track_caller]
    fn complains(outcome: Result<(), Error>, should_panic: Option<&str>, of: &str) {
        let complaint = complaint(outcome, should_panic).expect("it is the test's").expect("a complaint");
        assert!(complaint.contains(of), "{complaint}");
    }

    #[test]
    fn what_ends_as_it_should_is_no_reason_to_complain() {
        assert_eq!(complaint(Ok(()), None).expect("well"), None);
        assert_eq!(complaint(panicked("1 is not 2"), Some("")).expect("well"), None);
        assert_eq!(complaint(panicked("1 is not 2"), Some("is not")).expect("well"), None);
        assert_eq!(complaint(ended(undefined_instruction()), Some("#UD")).expect("well"), None);
    }

    #[test]
    fn what_ends_otherwise_is() {
        complains(panicked("oops"), None, "panicked at t.rs:1:2: oops");
        complains(ended(GuestEnd::Exited(7)), None, "exited with status 7");
        complains(ended(GuestEnd::Crashed(Crash::TripleFault)), None, "triple fault");
        for (other, expected) in [(None, "#UD"), (Some(""), "did not panic"), (Some("#GP"), "did not panic")]
        {
            complains(ended(undefined_instruction()), other, expected);
        }
        complains(Ok(()), Some(""), "did not panic");
        complains(ended(GuestEnd::Exited(7)), Some(""), "did not panic");
        complains(ended(GuestEnd::Crashed(Crash::TripleFault)), Some(""), "did not panic");
        complains(panicked("oops"), Some("out of memory"), "should contain `out of memory`");
    }

    #[test]
    fn what_is_not_the_tests_fault_is_an_error() {
        assert!(matches!(complaint(Err(Error::Killed), None), Err(Error::Killed)));
    }
}
