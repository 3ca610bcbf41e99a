//! Errors of files that hold a run.

use std::{fmt, io, path::PathBuf};

use crate::event::Guest;

/// A file does not hold a run, or not the recording of one.
#[derive(Debug)]
pub struct Error {
    /// The expected content of the file.
    pub kind: Kind,
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The problem.
    pub problem: Problem,
}

/// The expected content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The events of a run, in a recording or in the output of `--format jsonl`.
    Run,
    /// A recording.
    Recording,
    /// A snapshot.
    Snapshot,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, path, line, problem } = self;
        f.write_str(match kind {
            Kind::Run => "",
            Kind::Recording => "recording ",
            Kind::Snapshot => "snapshot ",
        })?;
        write!(f, "{}", path.display())?;
        line.map_or(Ok(()), |line| write!(f, ", line {line}"))?;
        write!(f, ": {problem}")
    }
}

/// The reason why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(io::Error),
    /// The file has no line of a run.
    #[error(
        "no run is told in it: `cargo xtask run ... --record FILE` or `--format jsonl` makes such a file"
    )]
    Nothing,
    /// The file is not a recording.
    #[error("not a recording; `cargo xtask run prodcons --record FILE` makes one")]
    NoRecording,
    /// The file is not a snapshot.
    #[error("not a snapshot; `cargo xtask run prodcons --save-at TURN FILE` makes one")]
    NoSnapshot,
    /// The snapshot is not as it was written.
    #[error("it is damaged or cut off: its checksum is not that of its content")]
    Damaged,
    /// The snapshot holds what no run can be in.
    #[error("no run can be in its state: {0}")]
    Unsound(String),
    /// The recording has another format.
    #[error("its format has version {found}, and this host knows {known}")]
    Version {
        /// The version in the file.
        found: String,
        /// The version of this host.
        known: u32,
    },
    /// The file ends before the run begins.
    #[error("{0} is missing: the file was cut off, or the run was stopped before it began")]
    Missing(&'static str),
    /// A line is not one of a run.
    #[error("not a line that tells of a run: {0}")]
    Json(String),
    /// A line is not one of a recording.
    #[error("not a line of a recording, edited perhaps: {0}")]
    RecordedJson(String),
    /// A line contradicts those before it.
    #[error("it contradicts the lines before it, edited perhaps: {0}")]
    Contradiction(&'static str),
    /// An accepted turn did not move as many items as it was told.
    #[error(
        "turn {turn} moved {moved} items where {option} {ordered} asks for {}: a guestlab that did not check orders recorded it, and the same run now ends with the broken rule `quota`",
        ordered.min(possible)
    )]
    Order {
        /// The turn, from 1.
        turn: u64,
        /// The number of items that it moved.
        moved: usize,
        /// The option with the order.
        option: &'static str,
        /// The ordered number of items.
        ordered: u32,
        /// The most items that the ring allowed.
        possible: u32,
    },
    /// The run has more items than can be counted.
    #[error("more than 4294967295 items: no view, report or comparison keeps so many")]
    TooManyItems,
    /// A run that is watched has more turns than are kept.
    #[error("a view keeps every turn, and {0} are the most; without a view there is no such limit")]
    TooLong(usize),
    /// The recording was made with another guest ABI.
    #[error(
        "it was made with guest ABI {abi}, and this host has {}: only the same can be compared",
        guest_abi::VERSION
    )]
    Abi {
        /// The version in the recording.
        abi: String,
    },
    /// The recording was made with another image.
    #[error(
        "VM {vm} ran {name} with sha256 {recorded}, and the image here has {here}: only the same can be compared"
    )]
    Image {
        /// The VM's number.
        vm: u32,
        /// The image's name.
        name: String,
        /// The hash in the recording.
        recorded: String,
        /// The hash of the image here.
        here: String,
    },
}

impl Problem {
    /// Returns the problem of a VM whose image is not the recorded one.
    pub fn image(recorded: &Guest, here: &Guest) -> Self {
        Self::Image {
            vm: recorded.vm,
            name: recorded.name.clone(),
            recorded: recorded.sha256.clone(),
            here: here.sha256.clone(),
        }
    }

    pub(crate) fn json(source: &serde_json::Error) -> Self {
        Self::Json(json_problem(source))
    }

    pub(crate) fn recorded_json(source: &serde_json::Error) -> Self {
        Self::RecordedJson(json_problem(source))
    }
}

/// The error of a line of JSON, without the line's number, which is always 1.
fn json_problem(source: &serde_json::Error) -> String {
    let text = source.to_string();
    let place = format!(" at line {} column {}", source.line(), source.column());
    text.strip_suffix(&place).map_or(text.clone(), |text| format!("{text}, column {}", source.column()))
}

/// A file that a run was to leave cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the {what} {}: {source}", path.display())]
pub struct WriteError {
    /// The kind of file, for example a recording.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The system's own error.
    pub source: io::Error,
}
