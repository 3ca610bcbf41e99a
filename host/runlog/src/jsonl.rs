//! JSON lines: one event a line.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use crate::{
    event::{Console, CrashEvent, Event, ExitEvent, ScreenEvent},
    json,
    sink::Sink,
    text::Utf8Stream,
};

/// Writes events as JSON lines.
pub struct JsonLines<W> {
    writer: W,
    quiet: bool,
    consoles: BTreeMap<u32, Utf8Stream>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `writer`; `quiet` leaves out the turns and the beginning.
    pub fn new(writer: W, quiet: bool) -> Self {
        Self { writer, quiet, consoles: BTreeMap::new() }
    }

    /// What is written to.
    pub fn writer(&self) -> &W {
        &self.writer
    }

    fn console(&mut self, vm: u32, name: &str, text: &str) -> io::Result<()> {
        match text.is_empty() {
            true => Ok(()),
            false => self.line(&Event::Console(Console { vm, name, text: text.as_bytes() })),
        }
    }

    fn line(&mut self, event: &Event<'_>) -> io::Result<()> {
        json::write(&mut self.writer, event)?;
        self.writer.write_all(b"\n")
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Run(_) | Event::Turn(_) | Event::Relay(_) if self.quiet => Ok(()),
            Event::Console(Console { vm, name, text }) => {
                // A character whose bytes come in several exits is one character all the same.
                let text = self.consoles.entry(*vm).or_default().push(text);
                self.console(*vm, name, &text)?;
                self.flush()
            }
            Event::Log(_) => {
                self.line(event)?;
                self.flush()
            }
            Event::Screen(ScreenEvent { vm, name, .. })
            | Event::Exit(ExitEvent { vm, name, .. })
            | Event::Crash(CrashEvent { vm, name, .. }) => {
                let rest = self.consoles.entry(*vm).or_default().finish();
                self.console(*vm, name, rest)?;
                self.line(event)
            }
            // With `quiet`, whoever asked for statistics wants them all the same.
            _ => self.line(event),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use guest_abi::{
        ring::{Capacity, Ring},
        transition::Role,
    };

    use super::*;
    use crate::event::{Account, Audit, End, Exits, Turn};

    fn lines(quiet: bool, events: &[Event<'_>]) -> String {
        let mut bytes = Vec::new();
        let mut sink = JsonLines::new(&mut bytes, quiet);
        events.iter().try_for_each(|event| sink.event(event)).expect("a Vec takes all");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    #[test]
    fn a_turn_has_the_fields_of_the_contract_in_their_order() {
        let ring = Ring::new(Capacity::DEFAULT);
        let turn = Turn {
            turn: 1,
            vm: 1,
            role: Role::Producer,
            items: &[12, 7, 93],
            prod_p: 3,
            cons_p: 0,
            count: 3,
            exits: 1,
            from: None,
            ring: &ring,
        };
        assert_eq!(
            lines(false, &[Event::Turn(turn)]),
            r#"{"event":"turn","turn":1,"vm":1,"role":"producer","items":[12,7,93],"prod_p":3,"cons_p":0,"count":3,"exits":1}"#.to_owned() + "\n"
        );
    }

    #[test]
    fn an_end_has_the_fields_of_the_contract_in_their_order() {
        let exits = Exits { by_kind: BTreeMap::from([("io_in", 0), ("io_out", 22)]), total: 22 };
        let end = End {
            turns: 40,
            account: Some(Account { produced: 61, consumed: 57, left: 4, audit: Audit::Ok }),
            rule: None,
            findings: Vec::new(),
            exits: BTreeMap::from([(1, exits)]),
        };
        assert_eq!(
            lines(true, &[Event::End(end)]),
            r#"{"event":"end","turns":40,"produced":61,"consumed":57,"left":4,"audit":"ok","exits":{"1":{"io_in":0,"io_out":22,"total":22}}}"#.to_owned() + "\n"
        );
    }

    #[test]
    fn console_text_is_text_even_when_it_comes_in_bytes() {
        let byte = |text| Event::Console(Console { vm: 1, name: "g", text });
        let lines = lines(true, &[byte(&[0xC3]), byte(&[0xA9]), byte(b"\x1b\xff!")]);
        let texts: Vec<&str> =
            lines.lines().map(|line| line.split("\"text\":").nth(1).expect("a text")).collect();
        assert_eq!(texts, ["\"é\"}", "\"\\u001b\u{FFFD}!\"}"]);
    }
}
