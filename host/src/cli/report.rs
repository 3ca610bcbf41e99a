//! Pages about runs: of a file, or of a run that goes on.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    lab::{error::Error, run_files::open_run},
    output,
    process::output_file::{Named, OutputFile, check_distinct},
    runlog::{error::WriteError, event::Event, live::Narrator, sink::Sink},
    views::html::page,
};

/// A sink that makes a page of the run, and hands every event on.
///
/// The page's file is begun before the run and written after it, at once.
pub struct Report<'a> {
    path: PathBuf,
    narrator: Narrator<'a>,
    /// `None` before the run begins.
    file: Option<OutputFile>,
}

impl<'a> Report<'a> {
    /// A report of a run that is told to a narrator.
    pub fn new(path: &Path, narrator: Narrator<'a>) -> Self {
        Self { path: path.into(), narrator, file: None }
    }

    /// Writes the page of a run that is over, whatever came of it; returns that.
    ///
    /// # Errors
    ///
    /// The run's; or the page cannot be written.
    pub fn conclude(self, outcome: Result<(), Error>) -> Result<(), Error> {
        let story = self.narrator.story();
        // Without a story an error says why there was no run, unless the guest was ended before it said anything.
        let is_told = !story.is_empty() || matches!(outcome, Err(Error::Interrupted { .. } | Error::Killed));
        let written = match self.file.filter(|_| is_told) {
            Some(file) => file.write_and_place(page(story).as_bytes()),
            None => Ok(()),
        };
        output::both(outcome, written.map_err(|source| cannot(&self.path, source).into()))
    }
}

impl Sink for Report<'_> {
    fn prepare(&mut self) -> Result<(), WriteError> {
        self.file = Some(OutputFile::whole(&self.path).map_err(|source| cannot(&self.path, source))?);
        self.narrator.prepare()
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.narrator.event(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.narrator.flush()
    }
}

/// Writes the page of a run that is in a file.
///
/// # Errors
///
/// The file tells no run, or the page cannot be written.
pub fn of_file(file: &Path, path: &Path) -> Result<(), Error> {
    check_distinct([Named::new("the run", file)].into(), [Named::new("the page", path)].into())?;
    let story = open_run(file)?;
    let written = OutputFile::whole(path).and_then(|file| file.write_and_place(page(&story).as_bytes()));
    Ok(written.map_err(|source| cannot(path, source))?)
}

fn cannot(path: &Path, source: io::Error) -> WriteError {
    WriteError { what: "report", path: path.into(), source }
}
