//! The outputs of events: a transcript for people, or JSON lines for programs.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, LineWriter, Write},
};

use anstream::AutoStream;

use crate::{
    lab::error::Error,
    process::{deadline_writer::DeadlineWriter, files, stderr},
    runlog::{
        jsonl::JsonLines,
        sink::{Form, Sink},
        text::{escape_control, escape_line},
    },
    views::transcript::Transcript,
};

/// Returns the sink that writes to standard output. `quiet` leaves out all but guests' own text and the end of the
/// run.
pub fn stdout(form: Form, quiet: bool) -> Box<dyn Sink> {
    let stdout = io::stdout();
    let color = AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
    let file: Box<dyn Write + Send> = match files::standard_output() {
        Ok(file) => Box::new(DeadlineWriter::new(file)),
        Err(_) => Box::new(io::stdout()),
    };
    // A terminal gets each line at once; a file or a program gets whole blocks.
    let writer: Box<dyn Write + Send> = match stdout.is_terminal() {
        true => Box::new(LineWriter::new(file)),
        false => Box::new(BufWriter::new(file)),
    };
    sink(writer, form, color, quiet)
}

/// Returns the sink that writes to a file in the form of [`stdout`].
pub fn file(file: File, form: Form, quiet: bool) -> Box<dyn Sink> {
    sink(Box::new(BufWriter::new(DeadlineWriter::new(file))), form, false, quiet)
}

fn sink(writer: Box<dyn Write + Send>, form: Form, color: bool, quiet: bool) -> Box<dyn Sink> {
    match form {
        Form::Text => Box::new(Transcript::new(writer, color, quiet, warn)),
        Form::JsonLines => Box::new(JsonLines::new(writer, quiet)),
    }
}

/// Writes one line to standard output.
///
/// # Errors
///
/// The output cannot be written.
pub fn line(text: &str) -> Result<(), Error> {
    writeln!(anstream::stdout(), "{text}").map_err(Error::Output)
}

/// Combines the outcome of a run and that of its file. If both failed, the file's error is only printed.
///
/// # Errors
///
/// The run or its file failed.
pub fn both(run: Result<(), Error>, file: Result<(), Error>) -> Result<(), Error> {
    match (run, file) {
        (Err(error), Err(other)) => {
            warn(&other.to_string());
            Err(error)
        }
        (run, file) => run.and(file),
    }
}

/// Writes the beginning of a line to standard output, visible at once.
///
/// # Errors
///
/// The output cannot be written.
pub fn begin_line(text: &str) -> Result<(), Error> {
    let mut stdout = anstream::stdout();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Error::Output)
}

/// Writes one line to standard error, with control characters and line ends as escapes.
pub fn warn(text: &str) {
    warn_styled(&escape_line(text));
}

/// Writes lines to standard error, with control characters as escapes.
pub fn warn_lines(text: &str) {
    warn_styled(&escape_control(text).to_string());
}

/// Writes a line that may have colours to standard error, without them if standard error does not show colours.
pub fn warn_styled(text: &str) {
    match AutoStream::choice(&io::stderr()) {
        anstream::ColorChoice::Never => stderr::warn(&anstream::adapter::strip_str(text).to_string()),
        _ => stderr::warn(text),
    }
}

/// Returns the coloured label in front of an error.
pub fn label(text: &str) -> String {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    format!("{style}{text}{style:#}")
}
