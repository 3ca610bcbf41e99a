//! What is said of a run when the view that showed it is closed: how it ended, as a transcript has it.

use std::io::{self, IsTerminal, Write};

use super::transcript::Transcript;
use crate::output::{Patient, Sink};
use crate::runlog::event::Event;

/// Keeps how a run ended.
pub struct Afterwards {
    transcript: Transcript<Vec<u8>>,
}

impl Afterwards {
    /// For a transcript on standard output.
    pub fn new() -> Self {
        let color = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        Self { transcript: Transcript::new(Vec::new(), color && io::stdout().is_terminal(), true) }
    }

    /// Says it.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn say(self) -> io::Result<()> {
        Patient::new(io::stdout()).write_all(&self.transcript.into_writer())
    }
}

impl Default for Afterwards {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Afterwards {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Run(_) | Event::End(_) | Event::Dropped(_) | Event::Stats(_) | Event::Profile(_) => {
                self.transcript.event(event)
            }
            Event::Console(_)
            | Event::Log(_)
            | Event::Turn(_)
            | Event::Relay(_)
            | Event::Screen(_)
            | Event::Crash(_)
            | Event::Exit(_) => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
