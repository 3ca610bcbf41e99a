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
mod transcript;
mod turns;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

pub use page::page;

use crate::{error::Error, files, output, story::Story};

/// The file of a page that is to be.
///
/// It is opened before the run begins and written after it, at once. A process that is killed leaves it
/// empty.
pub struct Report {
    path: PathBuf,
    file: File,
}

impl Report {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    ///
    /// That cannot be done.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let file = files::create(path).map_err(|source| cannot(path, source))?;
        Ok(Self { path: path.into(), file })
    }

    /// Writes the page of a run that is over, whatever came of it; returns that.
    ///
    /// # Errors
    ///
    /// The run's; or the page cannot be written.
    pub fn conclude(self, story: &Story, outcome: Result<(), Error>) -> Result<(), Error> {
        let written = match story.is_empty() {
            false => self.write(story),
            // It did not begin, and there is an error that says why.
            true => fs::remove_file(&self.path).map_err(|source| cannot(&self.path, source)),
        };
        match (outcome, written) {
            (Err(error), Err(other)) => {
                output::complain(&other.to_string());
                Err(error)
            }
            (outcome, written) => outcome.and(written),
        }
    }

    fn write(mut self, story: &Story) -> Result<(), Error> {
        self.file.write_all(page(story).as_bytes()).map_err(|source| cannot(&self.path, source))
    }
}

/// Writes the page of a run that is in a file.
///
/// # Errors
///
/// The file tells no run, or the page cannot be written.
pub fn of_file(file: &Path, page: &Path) -> Result<(), Error> {
    let story = Story::open(file)?;
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    if canonical(page).is_some_and(|page| Some(page) == canonical(file)) {
        return Err(Error::Usage(format!("{}: the page would take the place of the run", page.display())));
    }
    Report::create(page)?.write(&story)
}

fn cannot(path: &Path, source: io::Error) -> Error {
    Error::Write { what: "report", path: path.into(), source }
}

#[cfg(test)]
mod tests;
