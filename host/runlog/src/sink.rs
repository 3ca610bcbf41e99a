//! The trait of everything that takes the events of a run.

use std::io;

use crate::{error::WriteError, event::Event};

/// Takes the events of a run, in order, from any thread.
pub trait Sink: Send {
    /// Opens the files that it writes. No file can be opened once guests run.
    ///
    /// # Errors
    ///
    /// A file cannot be opened.
    fn prepare(&mut self) -> Result<(), WriteError> {
        Ok(())
    }

    /// Takes one event.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    fn event(&mut self, event: &Event<'_>) -> io::Result<()>;

    /// Writes everything that is still buffered.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    fn flush(&mut self) -> io::Result<()>;
}

/// A sink that drops all events.
pub struct Silence;

impl Sink for Silence {
    fn event(&mut self, _: &Event<'_>) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text for people.
    Text,
    /// One JSON object per line.
    JsonLines,
}
