//! The output of a trace: lines to standard error or a file, up to a number of instructions. All VMs of a run share it.

use std::{
    io::{self, BufWriter, Stderr, Write},
    path::PathBuf,
};

use guestlab_process::{deadline_writer::DeadlineWriter, output_file::OutputFile, stderr::warn};
use guestlab_runlog::{error::WriteError, text::escape_line};

/// The instructions that are shown, and their destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The number of instructions after which no more are shown; `None` is no limit.
    pub limit: Option<u64>,
    /// The output file; `None` is standard error.
    pub file: Option<PathBuf>,
}

/// The most bytes that are written without a number of instructions.
const MOST: u64 = 256 << 20;

/// The lines of a run's trace. Dropping them puts their file into place, if there is one.
pub(super) struct Lines {
    /// `None` after a failed write.
    writer: Option<BufWriter<Target>>,
    /// There was a line.
    is_begun: bool,
    /// The number of instructions that are still to be shown.
    left: u64,
    limit: Option<u64>,
    /// The bytes that may still be written.
    room: u64,
    /// The name of the output in messages.
    place: String,
}

enum Target {
    Stderr(DeadlineWriter<Stderr>),
    File(OutputFile),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr(stderr) => stderr.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stderr(stderr) => stderr.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

impl Lines {
    /// Creates the trace's file, if it has one.
    pub(super) fn open(shown: &Shown) -> Result<Self, WriteError> {
        let failed = |path: &PathBuf, source| WriteError { what: "trace", path: path.clone(), source };
        let target = match &shown.file {
            None => Target::Stderr(DeadlineWriter::new(io::stderr())),
            Some(path) => Target::File(OutputFile::stream(path).map_err(|source| failed(path, source))?),
        };
        let place = match &shown.file {
            None => "standard error".into(),
            Some(path) => path.display().to_string(),
        };
        let left = shown.limit.unwrap_or(u64::MAX);
        let (writer, room) = (BufWriter::new(target), if shown.limit.is_some() { u64::MAX } else { MOST });
        Ok(Self { writer: Some(writer), is_begun: false, left, limit: shown.limit, room, place })
    }

    /// Returns true if more lines are requested and can be written.
    pub(super) fn takes_more(&self) -> bool {
        self.left > 0 && self.writer.is_some()
    }

    /// Shows an instruction. After the last one, a line says that there are no more.
    pub(super) fn instruction(&mut self, line: &str) {
        self.left = self.left.saturating_sub(1);
        self.remark(line);
        if let (0, Some(limit)) = (self.left, self.limit) {
            self.remark(&format!("no more is shown: --trace-instructions {limit}"));
        }
    }

    /// Shows a line other than an instruction.
    pub(super) fn remark(&mut self, line: &str) {
        self.is_begun = true;
        let line = format!("{}\n", escape_line(line));
        self.room = self.room.saturating_sub(line.len() as u64);
        self.write(|writer| writer.write_all(line.as_bytes()));
        if self.room == 0 && self.left > 0 {
            self.left = 0;
            let most = MOST >> 20;
            self.write(|writer| {
                writeln!(writer, "no more is shown: {most} MiB; --trace-instructions N shows N instructions")
            });
        }
    }

    /// Flushes the lines.
    pub(super) fn flush(&mut self) {
        self.write(Write::flush);
    }

    /// Writes. An error ends the trace, but not the run.
    fn write(&mut self, write: impl FnOnce(&mut BufWriter<Target>) -> io::Result<()>) {
        let Some(Err(error)) = self.writer.as_mut().map(write) else { return };
        // Dropping a `BufWriter` would try to write its buffer again.
        if let Some(writer) = self.writer.take() {
            drop(writer.into_parts());
        }
        // A reader such as `head` has closed the pipe on purpose.
        if error.kind() != io::ErrorKind::BrokenPipe {
            let place = &self.place;
            warn(&format!("the trace cannot be written to {place}: {error}; the run goes on without it"));
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush();
        let target = self.writer.take().filter(|_| self.is_begun).map(|writer| writer.into_parts().0);
        if let Some(Target::File(file)) = target
            && let Err(error) = file.place()
        {
            warn(&format!("the trace cannot be written to {}: {error}", self.place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_without_a_number_ends_at_its_size_and_says_so() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let shown = Shown { limit: None, file: Some(file.path().into()) };
        let mut lines = Lines::open(&shown).expect("a trace");
        lines.room = 30;
        while lines.takes_more() {
            lines.instruction("0123456789");
        }
        drop(lines);
        let text = std::fs::read_to_string(file.path()).expect("text");
        let all: Vec<_> = text.lines().collect();
        assert_eq!(all[..3], ["0123456789"; 3]);
        assert!(all.len() == 4 && all[3].starts_with("no more is shown: 256 MiB; "), "{text}");
    }
}
