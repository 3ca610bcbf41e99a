//! What is said of a run when the view that showed it is closed: how it ended, as a transcript has it.

use std::io;

use guestlab_runlog::{event::Event, sink::Sink};

use crate::transcript::Transcript;

/// Keeps how a run ended.
pub struct Afterwards {
    transcript: Transcript<Vec<u8>>,
}

impl Afterwards {
    /// With colours or without, and with a function that prints warnings.
    pub fn new(color: bool, warn: fn(&str)) -> Self {
        Self { transcript: Transcript::new(Vec::new(), color, true, warn) }
    }

    /// The text of how it ended.
    pub fn into_text(self) -> Vec<u8> {
        self.transcript.into_writer()
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
