//! The log of a run that goes on: a sink that indexes each event, while a view looks at the log.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use crate::{
    characters::Characters,
    error::{Problem, WriteError},
    event::Event,
    run_log::RunLog,
    sink::Sink,
};

/// Adds each event to a log, and hands it on.
pub struct RunLogSink<'a> {
    log: &'a Mutex<RunLog>,
    characters: Characters,
    most_turns: usize,
    keeps_stats: bool,
    next: &'a mut dyn Sink,
}

impl<'a> RunLogSink<'a> {
    /// A sink in front of another one.
    pub fn new(log: &'a Mutex<RunLog>, next: &'a mut dyn Sink) -> Self {
        Self { log, characters: Characters::default(), most_turns: usize::MAX, keeps_stats: false, next }
    }

    /// The same, but a run with more turns fails.
    #[must_use]
    pub fn with_most_turns(self, most_turns: usize) -> Self {
        Self { most_turns, ..self }
    }

    /// The same, but statistics are handed on only if `keeps_stats` is false.
    #[must_use]
    pub fn keeping_stats(self, keeps_stats: bool) -> Self {
        Self { keeps_stats, ..self }
    }
}

impl Sink for RunLogSink<'_> {
    fn prepare(&mut self) -> Result<(), WriteError> {
        self.next.prepare()
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        let (log, most) = (self.log, self.most_turns);
        // An event that contradicts those before it would be a bug of the host.
        self.characters.join(event, |event| add(log, most, event).map_err(io::Error::other))?;
        match event {
            Event::Stats(_) if self.keeps_stats => Ok(()),
            event => self.next.event(event),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}

fn add(log: &Mutex<RunLog>, most_turns: usize, event: &Event<'_>) -> Result<(), Problem> {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.add(event)?;
    match log.turns().len() > most_turns {
        true => Err(Problem::TooLong(most_turns)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Console, sink::Silence};

    #[test]
    fn a_character_that_comes_in_bytes_is_one_character() {
        let (log, mut silence) = (Mutex::default(), Silence);
        let mut sink = RunLogSink::new(&log, &mut silence);
        for byte in "é!\n".as_bytes().chunks(1) {
            let console = Console { vm: 1, name: "g".into(), text: byte.into() };
            sink.event(&Event::Console(console)).expect("added");
        }
        let log = log.lock().expect("no thread panicked");
        let texts: Vec<&str> = log.outputs().iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, ["é!\n"]);
    }
}
