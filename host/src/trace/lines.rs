//! Where the lines of a trace go: to standard error or a file, up to a number of instructions. All VMs of a
//! run share it.

use std::io::{self, BufWriter, Write};

use super::Shown;
use crate::{
    error::Error,
    files,
    output::{self, Patient, visible},
};

/// The lines of a run's trace.
pub(super) struct Lines {
    /// `None` once they could not be written.
    writer: Option<BufWriter<Box<dyn Write + Send>>>,
    /// The number of instructions that are still to be shown.
    left: u64,
    limit: Option<u64>,
    /// How to name the file in a message.
    place: String,
}

impl Lines {
    /// Makes the trace's file, if it has one.
    pub(super) fn open(shown: &Shown) -> Result<Self, Error> {
        let writer: Box<dyn Write + Send> = match &shown.file {
            None => Box::new(Patient::new(io::stderr())),
            Some(path) => {
                let file = files::create(path).map_err(|source| Error::Write {
                    what: "trace",
                    path: path.clone(),
                    source,
                })?;
                Box::new(Patient::new(file))
            }
        };
        let place = match &shown.file {
            None => "standard error".into(),
            Some(path) => path.display().to_string(),
        };
        let left = shown.limit.unwrap_or(u64::MAX);
        Ok(Self { writer: Some(BufWriter::new(writer)), left, limit: shown.limit, place })
    }

    /// Whether more lines are wanted, and can be written.
    pub(super) fn takes_more(&self) -> bool {
        self.left > 0 && self.writer.is_some()
    }

    /// Shows an instruction. Behind the last one it is said that there are no more.
    pub(super) fn instruction(&mut self, line: &str) {
        self.left = self.left.saturating_sub(1);
        self.remark(line);
        if self.left == 0 {
            let limit = self.limit.unwrap_or(u64::MAX);
            self.remark(&format!("no more is shown: --trace-instructions {limit}"));
        }
    }

    /// Shows a line that is no instruction.
    pub(super) fn remark(&mut self, line: &str) {
        self.write(|writer| writeln!(writer, "{}", visible(line)));
    }

    /// Brings the lines to their reader.
    pub(super) fn flush(&mut self) {
        self.write(Write::flush);
    }

    /// Writes; what cannot be written ends the trace, and not the run.
    fn write(&mut self, write: impl FnOnce(&mut BufWriter<Box<dyn Write + Send>>) -> io::Result<()>) {
        let Some(Err(error)) = self.writer.as_mut().map(write) else { return };
        // What is in its buffer is not to be tried again when it is dropped.
        if let Some(writer) = self.writer.take() {
            drop(writer.into_parts());
        }
        // A reader who has seen enough needs no message.
        if error.kind() != io::ErrorKind::BrokenPipe {
            let place = &self.place;
            output::complain(&format!(
                "the trace cannot be written to {place}: {error}; the run goes on without it"
            ));
        }
    }
}
