//! JSON lines: one event a line.

use std::io::{self, Write};

use crate::{characters::Characters, event::Event, json, sink::Sink};

/// Writes events as JSON lines.
pub struct JsonLines<W> {
    writer: W,
    quiet: bool,
    characters: Characters,
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `writer`. `quiet` leaves out the turns and the beginning.
    pub fn new(writer: W, quiet: bool) -> Self {
        Self { writer, quiet, characters: Characters::default() }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        // Statistics were asked for, so that `quiet` does not leave them out.
        if self.quiet && matches!(event, Event::Run(_) | Event::Turn(_)) {
            return Ok(());
        }
        let Self { writer, characters, .. } = self;
        characters.join(event, |event| json::write_line(&mut *writer, event))?;
        match event {
            Event::Console(_) | Event::Log(_) => self.flush(),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use guest_abi::{
        ring::{Capacity, Ring},
        transition::Role,
    };

    use super::*;
    use crate::event::{Action, CheckResult, Console, End, Moved, Totals, Turn};

    fn lines(quiet: bool, events: &[Event<'_>]) -> String {
        let mut bytes = Vec::new();
        let mut sink = JsonLines::new(&mut bytes, quiet);
        events.iter().try_for_each(|event| sink.event(event)).expect("a Vec takes all");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    #[test]
    fn a_turn_has_the_fields_of_the_contract_in_their_order() {
        let ring = Ring::new(Capacity::DEFAULT);
        let items = [12, 7, 93][..].into();
        let moved = Moved { role: Role::Producer, items, prod_p: 3, cons_p: 0, count: 3 };
        let action = Action::Moved(moved);
        let turn = Turn { turn: 1, vm: 1, action, exits: 1, from: None, ring: Some(&ring) };
        assert_eq!(
            lines(false, &[Event::Turn(turn)]),
            r#"{"event":"turn","turn":1,"vm":1,"role":"producer","items":[12,7,93],"prod_p":3,"cons_p":0,"count":3,"exits":1}"#.to_owned() + "\n"
        );
    }

    #[test]
    fn an_end_has_the_fields_of_the_contract_in_their_order() {
        let exits = [("io_in", 0), ("io_out", 22), ("total", 22)].map(|(kind, count)| (kind.into(), count));
        let end = End {
            turns: 40,
            totals: Some(Totals { produced: 61, consumed: 57, left: 4, audit: CheckResult::Ok }),
            rule: None,
            findings: Vec::new(),
            exits: BTreeMap::from([(1, exits.into())]),
        };
        assert_eq!(
            lines(true, &[Event::End(Box::new(end))]),
            r#"{"event":"end","turns":40,"produced":61,"consumed":57,"left":4,"audit":"ok","exits":{"1":{"io_in":0,"io_out":22,"total":22}}}"#.to_owned() + "\n"
        );
    }

    #[test]
    fn console_text_is_text_even_when_it_comes_in_bytes() {
        let byte =
            |text: &'static [u8]| Event::Console(Console { vm: 1, name: "g".into(), text: text.into() });
        let lines = lines(true, &[byte(&[0xC3]), byte(&[0xA9]), byte(b"\x1b\xff!")]);
        let texts: Vec<&str> =
            lines.lines().map(|line| line.split("\"text\":").nth(1).expect("a text")).collect();
        assert_eq!(texts, ["\"é\"}", "\"\\u001b\u{FFFD}!\"}"]);
    }
}
