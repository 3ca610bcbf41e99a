//! Recordings: a run as JSON lines in a file, so that it can be run again and compared.
//!
//! The first line holds the options that no event of the run has. The second line is the `run` event. Then come the
//! events of each turn, of a crash, and of the end. The recording of a run that was killed has no end, and perhaps an
//! incomplete last line, which is ignored.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, BufRead},
};

use guest_abi::transition::Role;
use serde::{Serialize, de::IgnoredAny};
use serde_json::Value;

use crate::{
    error::Problem,
    event::{Action, Crash, End, Event, Run, Turn},
    header::{Options, VERSION},
    json,
    lines::lines,
    ring_check::States,
};

/// A recording that was read.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The options.
    pub options: Options,
    /// The run.
    pub run: Run,
    /// The turns, the crash, and the end, as far as the run came to them.
    pub steps: Vec<Event<'static>>,
}

impl Recording {
    /// Reads a recording, line by line.
    ///
    /// # Errors
    ///
    /// The input cannot be read, or a complete line of it does not belong to a recording. The error has the line's
    /// number, from 1.
    pub fn read(from: impl BufRead) -> Result<Self, (usize, Problem)> {
        let mut lines = lines(from);
        let line = next(&mut lines, 1, "the line that begins a recording")?;
        let options = options(&line).map_err(|problem| (1, problem))?;
        let line = next(&mut lines, 2, "the `run` line")?;
        let run = run(&line, &options).map_err(|problem| (2, problem))?;
        let mut recording = Self { options, run, steps: Vec::new() };
        let mut turns = 0;
        for (number, line) in lines {
            let step = line.map_err(Problem::Read).and_then(|line| step(&line));
            let step = step.map_err(|problem| (number, problem))?;
            let checked = recording.check(&step, turns).and_then(|()| recording.check_order(&step));
            checked.map_err(|problem| (number, problem))?;
            turns += u64::from(matches!(step, Event::Turn(_)));
            recording.steps.push(step);
        }
        Ok(recording)
    }

    /// Checks a step after `turns` turns. Turns are numbered from 1. A crash comes after all turns. The end comes last
    /// and has the number of turns.
    fn check(&self, step: &Event<'_>, turns: u64) -> Result<(), Problem> {
        let is_a_vm = |vm: u32| self.run.guest(vm).is_some();
        let before = self.steps.last();
        let crashed = matches!(before, Some(Event::Crash(_)));
        let (fits, what) = match (step, before) {
            (_, Some(Event::End(_))) => (false, "what comes after the end"),
            (Event::Turn(_) | Event::Crash(_), Some(Event::Crash(_))) => {
                (false, "what comes after the crash")
            }
            (Event::Turn(Turn { turn, vm, .. }), _) => {
                (*turn == turns + 1 && is_a_vm(*vm), "the number of the turn, or that of its VM")
            }
            (Event::Crash(crash), _) => {
                let number = crash.turn.is_none_or(|turn| turn == turns + 1);
                (number && is_a_vm(crash.vm), "the number of the crash's turn, or that of its VM")
            }
            (Event::End(end), _) => {
                let is_whole = crashed || self.run.turns == Some(turns);
                (end.turns == turns && is_whole, "the number of turns")
            }
            _ => (false, "a line of another kind"),
        };
        if fits { Ok(()) } else { Err(Problem::Contradiction(what)) }
    }

    /// Checks that an accepted turn moved as many items as it was told. Older hosts accepted other turns, too, which the
    /// same guests cannot repeat with this host.
    fn check_order(&self, step: &Event<'_>) -> Result<(), Problem> {
        let Event::Turn(Turn { turn, action: Action::Moved(moved), .. }) = step else { return Ok(()) };
        let (option, order) = match moved.role {
            Role::Producer => ("--produce", self.options.produce),
            Role::Consumer => ("--consume", self.options.consume),
        };
        let before = match self.steps.last() {
            Some(Event::Turn(Turn { action: Action::Moved(before), .. })) => before.count,
            _ => 0,
        };
        let free = self.run.capacity.unwrap_or(0).saturating_sub(before);
        let possible = if moved.role == Role::Producer { free } else { before };
        match order {
            Some(ordered) if moved.items.len() as u64 != u64::from(ordered.min(possible)) => {
                Err(Problem::Order { turn: *turn, moved: moved.items.len(), option, ordered, possible })
            }
            _ => Ok(()),
        }
    }

    /// Returns the VMs of the turns in the form of a written schedule, with the turn of a crash.
    pub fn schedule(&self) -> String {
        let vm = |step: &Event<'_>| match step {
            Event::Turn(Turn { vm, .. }) => Some(*vm),
            Event::Crash(crash) => crash.turn.map(|_| crash.vm),
            _ => None,
        };
        self.steps.iter().filter_map(vm).filter_map(vm_name).collect()
    }

    /// Removes the steps from a crash by a time limit on. Returns true if there was one.
    pub fn cut_deadline(&mut self) -> bool {
        let deadline = |step: &Event<'_>| matches!(step, Event::Crash(crash) if crash.is_time_dependent());
        let at = self.steps.iter().position(deadline);
        self.steps.truncate(at.unwrap_or(usize::MAX));
        at.is_some()
    }
}

/// The names of VMs in written schedules, in order.
pub fn vm_names() -> impl Iterator<Item = char> {
    ('1'..='9').chain('a'..='w')
}

/// The name of a VM, by its number from 1.
pub fn vm_name(vm: u32) -> Option<char> {
    vm_names().nth(usize::try_from(vm).ok()?.checked_sub(1)?)
}

fn next(
    lines: &mut impl Iterator<Item = (usize, io::Result<Vec<u8>>)>,
    number: usize,
    what: &'static str,
) -> Result<Vec<u8>, (usize, Problem)> {
    let (_, line) = lines.next().ok_or((number, Problem::Missing(what)))?;
    line.map_err(|source| (number, Problem::Read(source)))
}

/// Reads the first line.
fn options(line: &[u8]) -> Result<Options, Problem> {
    let value: Value = serde_json::from_slice(line).map_err(|_| Problem::NoRecording)?;
    if value["event"] != "recording" {
        return Err(Problem::NoRecording);
    }
    if value["version"] != VERSION {
        return Err(Problem::Version { found: value["version"].to_string(), known: VERSION });
    }
    match event(line)? {
        Event::Recording(header) if header.options.is_sound() => Ok(header.options),
        _ => Err(Problem::Contradiction("options that no run can have")),
    }
}

/// Reads the second line.
fn run(line: &[u8], options: &Options) -> Result<Run, Problem> {
    let Event::Run(run) = event(line)? else { return Err(Problem::Contradiction("the `run` line")) };
    if run.experiment != "prodcons" || run.turns.is_none() || run.items.is_some() || !run.repeatable {
        return Err(Problem::Contradiction("the `run` line"));
    }
    let numbered = (1..).zip(&run.guests).all(|(vm, guest)| guest.vm == vm);
    if run.ring().is_none() || run.guests.len() != options.producers + options.consumers || !numbered {
        return Err(Problem::Contradiction("capacity and guests"));
    }
    Ok(*run)
}

/// Reads a turn, a crash or an end.
fn step(line: &[u8]) -> Result<Event<'static>, Problem> {
    match event(line)? {
        Event::Turn(Turn { action: Action::Left { .. }, .. }) => {
            Err(Problem::Contradiction("a turn of another experiment"))
        }
        Event::End(end) if end.totals.is_none() => Err(Problem::Contradiction("an end without a ring")),
        event => Ok(event),
    }
}

/// Reads an event. A replay compares all its fields, so that an unknown one is refused. Details of a crash
/// are not compared.
fn event(line: &[u8]) -> Result<Event<'static>, Problem> {
    let problem = |source| Problem::recorded_json(&source);
    let event: Event<'static> = serde_json::from_slice(line).map_err(problem)?;
    if matches!(event, Event::Crash(_) | Event::Other) {
        return Ok(event);
    }
    let found: BTreeMap<Cow<'_, str>, IgnoredAny> = serde_json::from_slice(line).map_err(problem)?;
    let known = serde_json::to_value(&event).map_err(problem)?;
    match found.keys().find(|name| known.get(&***name).is_none()) {
        Some(name) => Err(Problem::RecordedJson(format!("unknown field `{name}`"))),
        None => Ok(event),
    }
}

/// Returns true if a replay's step is that of the recording, in all that a replay compares.
pub fn is_same(recorded: &Event<'_>, replayed: &Event<'_>) -> bool {
    match (recorded, replayed) {
        (Event::Turn(recorded), Event::Turn(replayed)) => recorded == replayed,
        (Event::Crash(recorded), Event::Crash(replayed)) => is_same_crash(recorded, replayed),
        (Event::End(recorded), Event::End(replayed)) => is_same_end(recorded, replayed),
        _ => false,
    }
}

/// Older hosts had another message for an address outside of guest memory.
fn is_same_crash(recorded: &Crash, replayed: &Crash) -> bool {
    let (recorded, mut replayed) = (Failure::of(recorded), Failure::of(replayed));
    if recorded.reason == "bad-address" && recorded.message.contains("which is not all in its memory") {
        replayed.message = recorded.message;
    }
    recorded == replayed
}

/// Older hosts did not write rule and findings at the end.
fn is_same_end(recorded: &End, replayed: &End) -> bool {
    let mut replayed = replayed.clone();
    if recorded.rule.is_none() {
        replayed.rule = None;
    }
    if recorded.findings.is_empty() {
        replayed.findings.clear();
    }
    *recorded == replayed
}

/// The part of a step that a replay compares, as JSON.
pub fn compared(step: &Event<'_>) -> String {
    match step {
        Event::Turn(turn) => json::text(turn),
        Event::Crash(crash) => json::text(&Failure::of(crash)),
        Event::End(end) => json::text(end),
        other => json::text(other),
    }
}

/// The part of a crash that is the same on every machine.
#[derive(PartialEq, Serialize)]
struct Failure<'a> {
    vm: u32,
    name: &'a str,
    turn: Option<u64>,
    reason: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    states: Option<&'a States>,
}

impl<'a> Failure<'a> {
    fn of(Crash { vm, name, turn, reason, message, states, .. }: &'a Crash) -> Self {
        Self { vm: *vm, name, turn: *turn, reason, message, states: states.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use guest_abi::mode::CpuMode;

    use super::*;

    const FIRST: &str = r#"{"event":"recording","version":1,"options":{"producer":"p","consumer":"c","producers":1,"consumers":1,"produce":null,"consume":3,"mode":"long","memory":2097152}}"#;
    const RUN: &str = r#"{"event":"run","experiment":"prodcons","abi":"1.0","seed":7,"capacity":6,"schedule":"alternate","turns":2,"guests":[{"vm":1,"name":"p","role":"producer","sha256":"aa"},{"vm":2,"name":"c","role":"consumer","sha256":"bb"}]}"#;

    fn turn(number: u64, vm: u32) -> String {
        format!(
            r#"{{"event":"turn","turn":{number},"vm":{vm},"role":"producer","items":[1],"prod_p":1,"cons_p":0,"count":1,"exits":1}}"#
        )
    }

    fn end(turns: u64) -> String {
        format!(
            r#"{{"event":"end","turns":{turns},"produced":1,"consumed":0,"left":1,"audit":"ok","exits":{{}}}}"#
        )
    }

    fn parse(lines: &[&str]) -> Result<Recording, (usize, Problem)> {
        Recording::read((lines.join("\n") + "\n").as_bytes())
    }

    /// A recording has millions of turns, which must not take much more memory than their lines.
    #[test]
    fn a_step_is_small() {
        // The shortest line of a turn has 104 bytes.
        assert!(size_of::<Event<'_>>() <= 104);
    }

    #[test]
    fn a_recording_is_read() {
        let crash = r#"{"event":"crash","vm":2,"name":"c","turn":2,"reason":"panic","message":"","hint":""}"#;
        let recording = parse(&[FIRST, RUN, &turn(1, 1), crash, &end(1)]).expect("a recording");
        assert_eq!(recording.schedule(), "12");
        assert_eq!((recording.options.mode(), recording.options.consume), (Some(CpuMode::Long), Some(3)));
        assert!(matches!(recording.steps.last(), Some(Event::End(_))));
    }

    #[test]
    fn what_a_killed_run_leaves_counts_up_to_its_last_whole_line() {
        let text = [FIRST, RUN, &turn(1, 1), &turn(2, 2)].join("\n");
        for cut in FIRST.len() + RUN.len() + 2..text.len() {
            let recording = Recording::read(&text.as_bytes()[..cut]).expect("whole lines");
            assert!(recording.steps.len() <= 1);
        }
        for cut in 0..=FIRST.len() + RUN.len() {
            assert!(
                matches!(Recording::read(&text.as_bytes()[..cut]), Err((_, Problem::Missing(_)))),
                "{cut}"
            );
        }
    }

    #[test]
    fn what_was_edited_is_named_with_its_line() {
        let line = |lines: &[&str]| parse(lines).map_err(|(line, _)| line).expect_err("edited");
        assert_eq!(line(&["{}", RUN]), 1);
        assert_eq!(line(&[&FIRST.replace("\"version\":1", "\"version\":9"), RUN]), 1);
        assert_eq!(line(&[&FIRST.replace("\"producers\":1", "\"producers\":0"), RUN]), 1);
        // Misspelt names of an optional field and of a required one.
        assert_eq!(line(&[&FIRST.replace("\"memory\"", "\"max_exit\":3,\"memory\""), RUN]), 1);
        assert_eq!(line(&[&FIRST.replace("\"options\"", "\"option\":{},\"options\""), RUN]), 1);
        assert_eq!(line(&[FIRST, &RUN.replace("\"capacity\":6", "\"capacity\":65")]), 2);
        assert_eq!(line(&[FIRST, RUN, "half a line"]), 3);
        assert_eq!(line(&[FIRST, RUN, &turn(2, 1)]), 3);
        assert_eq!(line(&[FIRST, RUN, &turn(1, 3)]), 3);
        assert_eq!(line(&[FIRST, RUN, &turn(1, 1), r#"{"event":"end"}"#]), 4);
        assert_eq!(line(&[FIRST, RUN, &turn(1, 1), &turn(2, 2), &end(2), &turn(3, 1)]), 6);
        // Turns were taken away.
        assert_eq!(line(&[FIRST, RUN, &turn(1, 1), &end(1)]), 4);
        assert_eq!(line(&[FIRST, RUN, &turn(1, 1), &end(2)]), 4);
        assert_eq!(line(&[FIRST, RUN, &turn(1, 1).replace("exits", "exit")]), 3);
        assert_eq!(line(&[&FIRST.replace("\"p\"", "\"p\\n\""), RUN]), 1);
        let bytes = [FIRST.as_bytes(), b"\n", RUN.as_bytes(), b"\n\xFF\n"].concat();
        assert!(matches!(Recording::read(&bytes[..]), Err((3, Problem::RecordedJson(_)))));
    }

    /// The recording has `"consume":3` and `"produce":null`.
    #[test]
    fn a_turn_that_did_not_obey_is_refused_with_the_reason() {
        let consumed = |items: &str, count: u32| {
            format!(
                r#"{{"event":"turn","turn":2,"vm":2,"role":"consumer","items":{items},"prod_p":1,"cons_p":1,"count":{count},"exits":1}}"#
            )
        };
        let of = |turns: [&str; 2]| parse(&[FIRST, RUN, turns[0], turns[1]]).map(|_| ());
        assert!(of([&turn(1, 1), &consumed("[1]", 0)]).is_ok(), "as many as there were");
        let (line, problem) = of([&turn(1, 1), &consumed("[]", 1)]).expect_err("it took none");
        assert_eq!(line, 4);
        assert_eq!(
            problem.to_string(),
            "turn 2 moved 0 items where --consume 3 asks for 1: a guestlab that did not check orders recorded it, and the same run now ends with the broken rule `quota`"
        );
        // Nothing was there to be taken.
        let idle = consumed("[]", 0).replace(r#""turn":2"#, r#""turn":1"#);
        assert!(of([&idle, &turn(2, 1)]).is_ok());
    }

    #[test]
    fn an_older_message_about_an_address_is_the_same_crash() {
        let crash = |message: &str| {
            let line = format!(
                r#"{{"event":"crash","vm":2,"name":"c","turn":2,"reason":"bad-address","message":"{message}"}}"#
            );
            parse(&[FIRST, RUN, &turn(1, 1), &line]).expect("a recording").steps.remove(1)
        };
        let old = crash("Print named text at 0x0, 1 bytes, which is not all in its memory");
        let new = crash("Print: text at 0x0 (1 bytes) is not entirely inside guest memory");
        assert!(is_same(&old, &new) && !is_same(&new, &old));
    }

    #[test]
    fn a_deadline_is_cut_off() {
        let crash = r#"{"event":"crash","vm":2,"name":"c","turn":2,"reason":"deadline","message":""}"#;
        let mut recording = parse(&[FIRST, RUN, &turn(1, 1), crash, &end(1)]).expect("a recording");
        assert!(recording.cut_deadline() && recording.schedule() == "1");
        assert!(!recording.cut_deadline());
    }

    #[test]
    fn what_is_no_recording_is_told_apart() {
        for text in ["hello\n", "{}\n", "{\"event\":\"run\"}\n"] {
            assert!(matches!(Recording::read(text.as_bytes()), Err((1, Problem::NoRecording))), "{text}");
        }
    }
}
