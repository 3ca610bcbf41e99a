//! A run as a page: one HTML file that needs nothing else, neither the network nor scripts to be read.
//!
//! A page is made of a [`Story`] and of nothing else. The host draws every figure (inline SVG, whose
//! elements carry the numbers that they show); the script only picks turns out of them.

mod choices;
mod columns;
mod crash;
mod exits;
mod figure;
mod number;
mod page;
mod ring;
mod summary;
#[cfg(test)]
mod tests;
mod transcript;
mod turns;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use page::page;

use crate::{
    lab::error::Error,
    output::{self, Sink},
    process::output_file::{Named, OutputFile, check_distinct},
    runlog::{
        event::Event,
        story::{Narrator, Story},
    },
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
        output::both(outcome, written.map_err(|source| cannot(&self.path, source)))
    }
}

impl Sink for Report<'_> {
    fn prepare(&mut self) -> Result<(), Error> {
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
    let story = Story::open(file)?;
    let written = OutputFile::whole(path).and_then(|file| file.write_and_place(page(&story).as_bytes()));
    written.map_err(|source| cannot(path, source))
}

fn cannot(path: &Path, source: io::Error) -> Error {
    Error::Write { what: "report", path: path.into(), source }
}
