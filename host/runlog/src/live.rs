//! A story of a run that goes on: a sink that tells it, in the very lines that `--format jsonl` writes.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use crate::{
    error::{Problem, WriteError},
    event::Event,
    jsonl::JsonLines,
    sink::Sink,
    story::Story,
};

/// Who is told.
pub trait Listener: Send {
    /// Takes one more line: see [`Story::tell`].
    ///
    /// # Errors
    ///
    /// The line is none of a run's, or contradicts those before it.
    fn hear(&mut self, line: &[u8]) -> Result<(), Problem>;
}

impl Listener for Story {
    fn hear(&mut self, line: &[u8]) -> Result<(), Problem> {
        self.tell(line)
    }
}

/// The most turns of a story that is told while others look at it: about a gigabyte.
const MOST_TURNS: usize = 5_000_000;

/// A story that others look at while it is told.
impl Listener for &Mutex<Story> {
    fn hear(&mut self, line: &[u8]) -> Result<(), Problem> {
        let mut story = self.lock().unwrap_or_else(PoisonError::into_inner);
        story.tell(line)?;
        match story.turns().len() > MOST_TURNS {
            true => Err(Problem::TooLong(MOST_TURNS)),
            false => Ok(()),
        }
    }
}

/// Tells a story, and hands every event on.
pub struct Narrator<'a, L = Story> {
    lines: JsonLines<Teller<L>>,
    keeps_stats: bool,
    next: &'a mut dyn Sink,
}

impl<'a> Narrator<'a> {
    /// A narrator in front of another sink.
    pub fn new(next: &'a mut dyn Sink) -> Self {
        Self::to(Story::default(), next)
    }

    /// The story so far.
    pub fn story(&self) -> &Story {
        &self.lines.writer().listener
    }
}

impl<'a, L: Listener> Narrator<'a, L> {
    /// A narrator that tells somebody, in front of another sink.
    pub fn to(listener: L, next: &'a mut dyn Sink) -> Self {
        let lines = JsonLines::new(Teller { listener, line: Vec::new() }, false);
        Self { lines, keeps_stats: false, next }
    }

    /// Whether it keeps statistics to itself, because nobody else asked for them.
    #[must_use]
    pub fn keeping_stats(self, keeps_stats: bool) -> Self {
        Self { keeps_stats, ..self }
    }
}

impl<L: Listener> Sink for Narrator<'_, L> {
    fn prepare(&mut self) -> Result<(), WriteError> {
        self.next.prepare()
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.lines.event(event)?;
        match event {
            Event::Stats(_) if self.keeps_stats => Ok(()),
            event => self.next.event(event),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}

/// Makes lines of what is written.
struct Teller<L> {
    listener: L,
    /// What there is of the next line.
    line: Vec<u8>,
}

impl<L: Listener> Write for Teller<L> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            match part.split_last() {
                Some((b'\n', rest)) => {
                    self.line.extend_from_slice(rest);
                    let line = std::mem::take(&mut self.line);
                    // An event that contradicts those before it would be a bug of ours.
                    self.listener.hear(&line).map_err(io::Error::other)?;
                }
                _ => self.line.extend_from_slice(part),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Console, sink::Silence};

    #[test]
    fn a_character_that_comes_in_bytes_is_told_as_one() {
        let mut silence = Silence;
        let mut narrator = Narrator::new(&mut silence);
        for byte in "é!\n".as_bytes().chunks(1) {
            narrator.event(&Event::Console(Console { vm: 1, name: "g", text: byte })).expect("told");
        }
        let texts: Vec<&str> = narrator.story().outputs().iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["é!\n"]);
    }
}
