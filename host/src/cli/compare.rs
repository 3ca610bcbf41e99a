//! `compare`: compares two runs.

use std::path::PathBuf;

use crate::{
    lab::{error::Error, run_files::open_run},
    output,
    runlog::{json, sink::Form, text::escape_control},
    views::compare::Comparison,
};

/// The configuration of a comparison.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The two files: recordings, or output of `--format jsonl`.
    pub files: [PathBuf; 2],
    /// The form of the output.
    pub form: Form,
}

/// Compares two runs, and prints the differences.
///
/// # Errors
///
/// A file does not hold a run, or the output cannot be written.
pub fn run(Plan { files: [one, other], form }: &Plan) -> Result<(), Error> {
    let comparison = Comparison::of(&[open_run(one)?, open_run(other)?]);
    let names = [one, other].map(|path| path.to_string_lossy());
    match form {
        Form::Text => output::line(
            escape_control(&comparison.text(names.each_ref().map(AsRef::as_ref))).to_string().trim_end(),
        ),
        Form::JsonLines => output::line(&json::text(&comparison)),
    }
}
