//! What can be wrong with a file that is to tell a run.

use std::{io, path::PathBuf};

/// A file does not tell a run.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {problem}", path.display(), line.map_or(String::new(), |line| format!(", line {line}")))]
pub struct StoryError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(io::Error),
    /// There is nothing of a run in it.
    #[error(
        "no run is told in it: `cargo xtask run ... --record FILE` or `--format jsonl` makes such a file"
    )]
    Nothing,
    /// A line that is none of a run's.
    #[error("not a line that tells of a run: {0}")]
    Json(String),
    /// A line that does not go with those before it.
    #[error("it contradicts the lines before it, edited perhaps: {0}")]
    Contradiction(&'static str),
    /// More items than can be counted.
    #[error("more than 4294967295 items: no view, report or comparison keeps so many")]
    TooManyItems,
    /// More turns than are kept of a run that is watched.
    #[error("a view keeps every turn, and {0} are the most; without a view there is no such limit")]
    TooLong(usize),
}

impl Problem {
    pub(crate) fn json(source: &serde_json::Error) -> Self {
        Self::Json(crate::runlog::recording::json_problem(source))
    }
}
