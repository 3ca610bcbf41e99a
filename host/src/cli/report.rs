//! Pages about runs: from a file, or during a run.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{
    lab::{error::Error, run_files::open_run},
    output,
    process::output_file::{Named, OutputFile, check_distinct},
    runlog::{error::WriteError, event::Event, live::RunLogSink, run_log::RunLog, sink::Sink},
    views::html::page,
};

/// A sink that writes a page about the run at its end, and hands every event on.
///
/// The page's file is created before the run and written at once after it.
pub struct Report<'a> {
    path: PathBuf,
    log: &'a Mutex<RunLog>,
    sink: RunLogSink<'a>,
    /// `None` before the run begins.
    file: Option<OutputFile>,
}

impl<'a> Report<'a> {
    /// A report of a run whose log the sink fills.
    pub fn new(path: &Path, log: &'a Mutex<RunLog>, sink: RunLogSink<'a>) -> Self {
        Self { path: path.into(), log, sink, file: None }
    }

    /// Writes the page of a run that is over, whatever its outcome; returns the outcome.
    ///
    /// # Errors
    ///
    /// The run failed, or the page cannot be written.
    pub fn conclude(self, outcome: Result<(), Error>) -> Result<(), Error> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // Without events, an error explains why there was no run, unless the guest was ended before its first event.
        let has_run = !log.is_empty() || matches!(outcome, Err(Error::Interrupted { .. } | Error::Killed));
        let written = match self.file.filter(|_| has_run) {
            Some(file) => file.write_and_place(page(&log).as_bytes()),
            None => Ok(()),
        };
        output::both(outcome, written.map_err(|source| cannot(&self.path, source).into()))
    }
}

impl Sink for Report<'_> {
    fn prepare(&mut self) -> Result<(), WriteError> {
        self.file = Some(OutputFile::whole(&self.path).map_err(|source| cannot(&self.path, source))?);
        self.sink.prepare()
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.sink.event(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Writes the page of a run from a file.
///
/// # Errors
///
/// The file has no run, or the page cannot be written.
pub fn of_file(file: &Path, path: &Path) -> Result<(), Error> {
    check_distinct([Named::new("the run", file)].into(), [Named::new("the page", path)].into())?;
    let log = open_run(file)?;
    let written = OutputFile::whole(path).and_then(|file| file.write_and_place(page(&log).as_bytes()));
    Ok(written.map_err(|source| cannot(path, source))?)
}

fn cannot(path: &Path, source: io::Error) -> WriteError {
    WriteError { what: "report", path: path.into(), source }
}
