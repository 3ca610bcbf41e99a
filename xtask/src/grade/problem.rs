//! The reason why a submission has no image.

use std::{io, path::Path};

use crate::error::Error;

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

/// The error of work on a submission.
#[derive(Debug)]
pub(super) enum Failed {
    /// It is the submission's fault: a row.
    Theirs(Problem),
    /// It is this machine's, or ours: the end of the grading.
    Ours(Error),
}

impl Failed {
    /// Returns a function for `map_err`, for a file of a submission that cannot be read.
    pub(super) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Failed {
        move |source| {
            let name = path.file_name().unwrap_or_default().display();
            Problem::new(format!("cannot read its {name}: {source}")).into()
        }
    }

    /// Parts a fault of the submission from other errors.
    pub(super) fn part<T>(result: Result<T, Failed>) -> Result<Result<T, Problem>, Error> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(Failed::Theirs(problem)) => Ok(Err(problem)),
            Err(Failed::Ours(error)) => Err(error),
        }
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Failed {
        Failed::Theirs(problem)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Ours(error)
    }
}
