//! A story of a run that goes on: a sink that tells it, line by line, as JSON lines would.

use std::io;

use super::Story;
use crate::{event::Event, output::Sink};

/// Tells a story, and hands every event on.
pub struct Narrator<'a> {
    story: Story,
    next: &'a mut dyn Sink,
}

impl<'a> Narrator<'a> {
    /// A narrator in front of another sink.
    pub fn new(next: &'a mut dyn Sink) -> Self {
        Self { story: Story::default(), next }
    }

    /// The story so far.
    pub fn story(&self) -> &Story {
        &self.story
    }
}

impl Sink for Narrator<'_> {
    fn prepare(&mut self) -> io::Result<()> {
        self.next.prepare()
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        let line = serde_json::to_vec(event)?;
        // An event that contradicts those before it would be a bug of ours.
        self.story.tell(&line).map_err(io::Error::other)?;
        self.next.event(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}
