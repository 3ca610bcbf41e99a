//! What is run: a guest, or one of the tests in an image; and how it should end.

use crate::{
    lab::{error::Error, failure::GuestError, guest_end::GuestEnd, refused::Refused, session, vm::Vm},
    runlog::text::escape_line,
    vmm::{Image, StopReason, Test},
};

/// A guest that runs alone, or a test.
pub(super) struct Subject<'a> {
    pub(super) image: &'a Image,
    pub(super) test: Option<&'a Test>,
}

/// The way in which a run ended.
pub(super) enum Ending {
    /// As it should.
    Good,
    /// The guest failed.
    Failed(Box<GuestError>),
    /// A test that should panic did not.
    NoPanic,
}

impl Subject<'_> {
    /// Returns the name for people.
    pub(super) fn name(&self) -> String {
        let image = escape_line(self.image.name());
        self.test
            .map_or_else(|| image.to_string(), |test| format!("{image}, test {}", escape_line(&test.name)))
    }

    /// Returns the arguments of the guest.
    pub(super) fn arguments(&self) -> Vec<String> {
        self.test.map(|test| test.name.clone()).into_iter().collect()
    }

    /// Returns true if the guest goes on behind this stop: a test is alone in a ring.
    pub(super) fn goes_on(&self, stop: &StopReason) -> bool {
        self.test.is_some() && matches!(stop, StopReason::Attached | StopReason::TurnEnded)
    }

    /// Judges the end of a run.
    ///
    /// # Errors
    ///
    /// Something other than the guest failed.
    pub(super) fn judge(&self, vm: &mut Vm, outcome: Result<StopReason, Error>) -> Result<Ending, Error> {
        let outcome = match outcome {
            Ok(StopReason::Attached | StopReason::TurnEnded) => {
                Err(session::refuse(vm, None, Refused::Alone))
            }
            outcome => outcome,
        };
        let expected = self.test.and_then(|test| test.should_panic.as_deref());
        match (outcome, expected) {
            (Ok(_), None) => Ok(Ending::Good),
            (Ok(_), Some(_)) => Ok(Ending::NoPanic),
            (Err(Error::Guest(error)), expected) => {
                let is_expected = match (&error.end, expected) {
                    (GuestEnd::Panicked(panic), Some(expected)) => {
                        String::from_utf8_lossy(&panic.message).contains(expected)
                    }
                    _ => false,
                };
                Ok(if is_expected { Ending::Good } else { Ending::Failed(error) })
            }
            (Err(error), _) => Err(error),
        }
    }
}
