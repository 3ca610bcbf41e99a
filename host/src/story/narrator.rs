//! A story of a run that goes on: a sink that tells it, line by line, as JSON lines would.

use std::{collections::BTreeMap, io};

use super::{Problem, Story};
use crate::{
    event::{Console, CrashEvent, Event, ExitEvent},
    output::{Sink, Utf8Stream},
    prodcons::Plan,
    recording::Header,
};

/// Tells a story, and hands every event on.
pub struct Narrator<'a> {
    story: Story,
    consoles: BTreeMap<u32, Utf8Stream>,
    keeps_stats: bool,
    next: &'a mut dyn Sink,
}

impl<'a> Narrator<'a> {
    /// A narrator in front of another sink.
    pub fn new(next: &'a mut dyn Sink) -> Self {
        Self { story: Story::default(), consoles: BTreeMap::new(), keeps_stats: false, next }
    }

    /// Whether it keeps statistics to itself, because nobody else asked for them.
    #[must_use]
    pub fn keeping_stats(self, keeps_stats: bool) -> Self {
        Self { keeps_stats, ..self }
    }

    /// Begins with the options of an exchange, as a recording does.
    ///
    /// # Errors
    ///
    /// The story has begun.
    pub fn begin(&mut self, plan: &Plan) -> Result<(), Problem> {
        self.tell(&Header::of(plan))
    }

    /// The story so far.
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// The story so far, to be added to.
    pub fn story_mut(&mut self) -> &mut Story {
        &mut self.story
    }

    /// A character whose bytes come in several exits is one character all the same.
    fn console(&mut self, console: &Console<'_>) -> Result<(), Problem> {
        let text = self.consoles.entry(console.vm).or_default().push(console.text);
        self.print(console.vm, console.name, &text)
    }

    fn print(&mut self, vm: u32, name: &str, text: &str) -> Result<(), Problem> {
        match text.is_empty() {
            true => Ok(()),
            false => self.tell(&Event::Console(Console { vm, name, text: text.as_bytes() })),
        }
    }

    fn tell(&mut self, line: &impl serde::Serialize) -> Result<(), Problem> {
        let line = serde_json::to_vec(line).map_err(|source| Problem::json(&source))?;
        self.story.tell(&line)
    }

    fn narrate(&mut self, event: &Event<'_>) -> Result<(), Problem> {
        match event {
            Event::Console(console) => return self.console(console),
            Event::Exit(ExitEvent { vm, name, .. }) | Event::Crash(CrashEvent { vm, name, .. }) => {
                let rest = self.consoles.entry(*vm).or_default().finish();
                self.print(*vm, name, rest)?;
            }
            _ => {}
        }
        self.tell(event)
    }
}

impl Sink for Narrator<'_> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        // An event that contradicts those before it would be a bug of ours.
        self.narrate(event).map_err(io::Error::other)?;
        match event {
            Event::Stats(_) if self.keeps_stats => Ok(()),
            event => self.next.event(event),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}
