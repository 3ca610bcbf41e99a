//! The sink that writes a recording while a run goes on.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    lab::{error::Error, exchange::ExchangeConfig as Plan},
    output,
    process::output_file::OutputFile,
    runlog::{
        error::WriteError,
        event::Event,
        header::{Header, VERSION},
        json,
        sink::Sink,
    },
};

/// A sink that writes a recording and hands every event on.
///
/// The file is created at the beginning of the run. Each line is written at once, the first two together. So a process
/// that is killed leaves either no recording or one with all events so far (see [`OutputFile::stream`]).
pub struct Recorder<'a> {
    path: PathBuf,
    header: Event<'static>,
    file: Option<OutputFile>,
    /// True after the first line.
    begun: bool,
    /// The error that ended the recording.
    failure: Option<io::Error>,
    next: &'a mut dyn Sink,
}

impl<'a> Recorder<'a> {
    /// Creates the recorder of a run, for a file.
    pub fn new(path: &Path, plan: &Plan, next: &'a mut dyn Sink) -> Self {
        let header = Event::Recording(Box::new(Header { version: VERSION, options: plan.options() }));
        Self { path: path.into(), header, file: None, begun: false, failure: None, next }
    }

    /// The same, for a file that is open already.
    #[must_use]
    pub fn through(self, file: OutputFile) -> Self {
        Self { file: Some(file), ..self }
    }

    /// Gives the recording its name, and returns the outcome of the recorded run.
    ///
    /// # Errors
    ///
    /// The run failed, or the recording could not be written.
    pub fn conclude(self, outcome: Result<(), Error>) -> Result<(), Error> {
        // A recording that cannot be written ends the run.
        let has_failed = self.failure.is_some();
        let finished = self.finish();
        if has_failed { finished } else { output::both(outcome, finished) }
    }

    /// Gives the recording its name, if something was recorded.
    ///
    /// # Errors
    ///
    /// The recording could not be written.
    pub fn finish(self) -> Result<(), Error> {
        let placed = match (self.failure, self.file) {
            (Some(failure), _) => Err(failure),
            (None, Some(file)) if self.begun => file.place(),
            (None, _) => Ok(()),
        };
        placed.map_err(|source| Error::from(failed(&self.path, source)))
    }

    fn record(&mut self, event: &Event<'_>) -> io::Result<()> {
        let mut lines = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            json::write_line(&mut lines, &self.header)?;
        }
        json::write_line(&mut lines, event)?;
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(&lines))
    }

    /// Keeps the first error of the recording: later ones follow from it.
    fn fail(&mut self, error: io::Error) -> io::Error {
        let kind = error.kind();
        self.failure.get_or_insert(error);
        kind.into()
    }
}

impl Sink for Recorder<'_> {
    fn prepare(&mut self) -> Result<(), WriteError> {
        self.file = Some(OutputFile::stream(&self.path).map_err(|source| failed(&self.path, source))?);
        self.next.prepare()
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if matches!(event, Event::Run(_) | Event::Turn(_) | Event::Crash(_) | Event::End(_)) {
            self.record(event).map_err(|error| self.fail(error))?;
        }
        self.next.event(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}

fn failed(path: &Path, source: io::Error) -> WriteError {
    WriteError { what: "recording", path: path.into(), source }
}
