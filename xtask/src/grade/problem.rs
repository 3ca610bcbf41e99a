//! The reason why a submission has no image.

/// The reason in one line, and more about it.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) reason: String,
    pub(super) details: Option<String>,
}

impl Problem {
    pub(super) fn new(reason: impl Into<String>) -> Problem {
        Problem { reason: reason.into(), details: None }
    }
}
