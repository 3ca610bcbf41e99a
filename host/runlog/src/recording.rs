//! Recordings: a run as JSON lines in a file, so that it can be run again and compared.
//!
//! The first line holds the options that the run's events do not, the second is the `run` event,
//! and then come the events of every turn, of a crash, and of the end. A run that was killed leaves a
//! recording without an end, and perhaps with half a line as its last; what is whole counts.

use std::io::{self, BufRead};

use guest_abi::{
    mode::CpuMode,
    ring::{Capacity, MAX_CAPACITY},
    transition::Role,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    error::Problem,
    event::{Account, CrashEvent, End, Finding, Guest, Turn},
    lines::lines,
};

/// The `event` of the first line.
const HEADER: &str = "recording";

/// The version of the format.
const VERSION: u32 = 1;

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    event: String,
    version: u32,
    /// The options of the run.
    pub options: Options,
}

/// The options of a run that its `run` event does not have. One that is not known here would be ignored by a
/// replay, so that it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The producers' image, a path or a guest's name.
    pub producer: String,
    /// The consumers' image, likewise.
    pub consumer: String,
    /// The number of producers.
    pub producers: usize,
    /// The number of consumers.
    pub consumers: usize,
    /// The items that a producer adds a turn; `None` is a random number.
    pub produce: Option<u32>,
    /// The items that a consumer takes a turn; `None` is a random number.
    pub consume: Option<u32>,
    /// The mode that was asked for.
    pub mode: Option<String>,
    /// Each guest's memory in bytes.
    pub memory: u32,
    /// The number of exits that a VM may cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_exits: Option<u64>,
}

impl Header {
    /// The header of a run with these options.
    pub fn new(options: Options) -> Self {
        Self { event: HEADER.into(), version: VERSION, options }
    }
}

impl Options {
    /// The mode that was asked for.
    pub fn mode(&self) -> Option<CpuMode> {
        self.mode.as_deref()?.parse().ok()
    }

    /// Whether the numbers are such as a run can have.
    fn is_sound(&self) -> bool {
        let quota = |items: Option<u32>| items.is_none_or(|items| items <= MAX_CAPACITY);
        let vms = 1..=16;
        let source = |text: &str| text.contains('/') || is_guest_name(text);
        source(&self.producer)
            && source(&self.consumer)
            && vms.contains(&self.producers)
            && vms.contains(&self.consumers)
            && quota(self.produce)
            && quota(self.consume)
            && self.mode.is_none() == self.mode().is_none()
    }
}

/// The second line: the `run` event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRun {
    event: String,
    experiment: String,
    /// The schedule, as written.
    pub schedule: String,
    /// The guest ABI of the host that recorded.
    pub abi: String,
    /// The seed of all chance.
    pub seed: u64,
    /// The ring's capacity.
    pub capacity: u32,
    /// The number of turns that were to be.
    pub turns: u64,
    /// The guests, in the order of their VMs.
    pub guests: Vec<RecordedGuest>,
}

/// A guest of a recorded run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedGuest {
    /// The VM's number.
    pub vm: u32,
    /// The image's name.
    pub name: String,
    /// What it does.
    pub role: String,
    /// The SHA-256 of the image's file.
    pub sha256: String,
}

impl From<&Guest<'_>> for RecordedGuest {
    fn from(guest: &Guest<'_>) -> Self {
        let role = guest.role.map_or("", Role::name);
        Self { vm: guest.vm, name: guest.name.into(), role: role.into(), sha256: guest.sha256.into() }
    }
}

/// A turn, or the crash that ended the run, as a recording has it: what can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Step {
    /// A turn.
    Turn(RecordedTurn),
    /// A crash.
    Crash(Box<RecordedCrash>),
    /// The end of the run.
    End(Box<RecordedEnd>),
}

/// What a turn's guest does, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RecordedRole {
    Producer,
    Consumer,
}

impl From<Role> for RecordedRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Producer => Self::Producer,
            Role::Consumer => Self::Consumer,
        }
    }
}

/// See [`Step::Turn`]. There are millions in a long recording, which are to take no more memory than the file has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTurn {
    /// The turn's number, from 1.
    pub turn: u64,
    /// The VM's number.
    pub vm: u32,
    role: RecordedRole,
    /// The items that moved.
    pub items: Box<[u32]>,
    /// The slot that the next produced item goes to.
    pub prod_p: u32,
    /// The slot of the next item to consume.
    pub cons_p: u32,
    /// The number of items in the ring.
    pub count: u32,
    /// The number of VM exits.
    pub exits: u64,
    /// The VMs that made the items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<[u32]>>,
}

impl From<&Turn<'_>> for RecordedTurn {
    fn from(turn: &Turn<'_>) -> Self {
        let &Turn { turn, vm, role, items, prod_p, cons_p, count, exits, ref from, .. } = turn;
        let (role, items, from) = (role.into(), items.into(), from.clone().map(Vec::into_boxed_slice));
        Self { turn, vm, role, items, prod_p, cons_p, count, exits, from }
    }
}

/// See [`Step::Crash`]. What else is said of a crash may differ from machine to machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCrash {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// The turn in which it happened.
    pub turn: Option<u64>,
    /// The reason's name.
    pub reason: String,
    /// The reason in words.
    pub message: String,
    /// For a broken rule of the ring: the two states.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub states: Value,
}

impl Step {
    /// Whether a step of another run is the same as this one of a recording.
    pub fn is_met_by(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::End(end), Self::End(other)) => end.is_met_by(other),
            _ => self == other,
        }
    }
}

impl From<&CrashEvent<'_>> for RecordedCrash {
    fn from(crash: &CrashEvent<'_>) -> Self {
        Self {
            vm: crash.vm,
            name: crash.name.into(),
            turn: crash.turn,
            reason: crash.reason.into(),
            message: crash.message.clone(),
            states: crash.states.map_or(Value::Null, |states| json!(states)),
        }
    }
}

impl RecordedCrash {
    /// Whether the run was ended by the clock, which the next one need not be.
    pub fn is_the_clocks(&self) -> bool {
        matches!(self.reason.as_str(), "deadline" | "turn-timeout")
    }
}

/// See [`Step::End`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedEnd {
    /// The number of turns that were finished.
    pub turns: u64,
    /// The number of items that were produced.
    pub produced: u64,
    /// The number of items that were consumed.
    pub consumed: u64,
    /// The number of items in the ring.
    pub left: u32,
    /// The audit's verdict.
    pub audit: Value,
    /// The ring's rule that was broken.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub rule: Value,
    /// What breaks no rule and is not as the task asks.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub findings: Value,
    /// The exits of each VM, by kind.
    pub exits: Value,
}

impl RecordedEnd {
    /// The end of an exchange; `None` of anything else.
    pub fn of(end: &End) -> Option<Self> {
        let Account { produced, consumed, left, audit } = end.account?;
        let json = |findings: &[Finding]| match findings {
            [] => Value::Null,
            findings => json!(findings),
        };
        let (rule, findings) = (json!(end.rule), json(&end.findings));
        let (audit, exits) = (json!(audit), json!(end.exits));
        Some(Self { turns: end.turns, produced, consumed, left, audit, rule, findings, exits })
    }

    /// Whether a run that ended so is the one of this end. A host that did not know rule and findings at the end
    /// left them out.
    pub fn is_met_by(&self, other: &Self) -> bool {
        let known = |field: &Value, other: &Value| if field.is_null() { Value::Null } else { other.clone() };
        let rule = known(&self.rule, &other.rule);
        let findings = known(&self.findings, &other.findings);
        *self == Self { rule, findings, ..other.clone() }
    }
}

/// A recording that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The options.
    pub options: Options,
    /// The run.
    pub run: RecordedRun,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

impl Recording {
    /// Reads a recording, line by line.
    ///
    /// # Errors
    ///
    /// The input cannot be read, or a whole line of it is none of a recording's. The error has the line's number, from 1.
    pub fn read(from: impl BufRead) -> Result<Self, (usize, Problem)> {
        let mut lines = lines(from);
        let header: Value = first(&mut lines, 1, "the line that begins a recording")?;
        if header["event"] != HEADER {
            return Err((1, Problem::NoRecording));
        }
        if header["version"] != VERSION {
            return Err((1, Problem::Version { found: header["version"].to_string(), known: VERSION }));
        }
        let header: Header =
            serde_json::from_value(header).map_err(|source| (1, Problem::recorded_json(&source)))?;
        if !header.options.is_sound() {
            return Err((1, Problem::Contradiction("options that no run can have")));
        }
        let run: RecordedRun = first(&mut lines, 2, "the `run` line")?;
        let vms = header.options.producers + header.options.consumers;
        if run.event != "run" || run.experiment != "prodcons" {
            return Err((2, Problem::Contradiction("the `run` line")));
        }
        let numbered = (1..).zip(&run.guests).all(|(vm, guest)| guest.vm == vm);
        if Capacity::new(run.capacity).is_none() || run.guests.len() != vms || !numbered {
            return Err((2, Problem::Contradiction("capacity and guests")));
        }
        let (mut steps, mut turns) = (Vec::new(), 0);
        for (number, line) in lines {
            let line = line.map_err(|source| (number, Problem::Read(source)))?;
            let step: Step =
                serde_json::from_slice(&line).map_err(|source| (number, Problem::recorded_json(&source)))?;
            check_step(&step, steps.last(), turns, vms, &run).map_err(|problem| (number, problem))?;
            turns += u64::from(matches!(step, Step::Turn(_)));
            steps.push(step);
        }
        Ok(Self { options: header.options, run, steps })
    }

    /// The VMs of the turns, as a written schedule has them; the turn of a crash included.
    pub fn schedule(&self) -> String {
        let vm = |step: &Step| match step {
            Step::Turn(RecordedTurn { vm, .. }) => Some(*vm),
            Step::Crash(crash) => crash.turn.map(|_| crash.vm),
            Step::End(_) => None,
        };
        self.steps.iter().filter_map(vm).filter_map(vm_name).collect()
    }

    /// Takes away how a run ended that the clock has ended; whether it has.
    pub fn cut_deadline(&mut self) -> bool {
        let deadline = |step: &Step| matches!(step, Step::Crash(crash) if crash.is_the_clocks());
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

/// Returns true if a guest, or an experiment, can have this name. A guest's name is part of its image's file name.
pub fn is_guest_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn first<T: DeserializeOwned>(
    lines: &mut impl Iterator<Item = (usize, io::Result<Vec<u8>>)>,
    number: usize,
    what: &'static str,
) -> Result<T, (usize, Problem)> {
    let (_, line) = lines.next().ok_or((number, Problem::Missing(what)))?;
    let line = line.map_err(|source| (number, Problem::Read(source)))?;
    serde_json::from_slice(&line).map_err(|source| match number {
        1 => (1, Problem::NoRecording),
        number => (number, Problem::recorded_json(&source)),
    })
}

/// Turns are numbered from 1; a crash comes after them, and after all the end, which knows their number.
/// Before the step there were `turns` turns, and last of all `before`.
fn check_step(
    step: &Step,
    before: Option<&Step>,
    turns: u64,
    vms: usize,
    run: &RecordedRun,
) -> Result<(), Problem> {
    let is_a_vm = |vm: u32| (1..=vms).contains(&(vm as usize));
    let crashed = matches!(before, Some(Step::Crash(_)));
    let (fits, what) = match (step, before) {
        (_, Some(Step::End(_))) => (false, "what comes after the end"),
        (Step::Turn(_) | Step::Crash(_), Some(Step::Crash(_))) => (false, "what comes after the crash"),
        (Step::Turn(RecordedTurn { turn, vm, .. }), _) => {
            (*turn == turns + 1 && is_a_vm(*vm), "the number of the turn, or that of its VM")
        }
        (Step::Crash(crash), _) => {
            let RecordedCrash { turn, vm, .. } = &**crash;
            let number = turn.is_none_or(|turn| turn == turns + 1);
            (number && is_a_vm(*vm), "the number of the crash's turn, or that of its VM")
        }
        (Step::End(end), _) => (end.turns == turns && (crashed || run.turns == turns), "the number of turns"),
    };
    if fits { Ok(()) } else { Err(Problem::Contradiction(what)) }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_recording_is_read() {
        let crash = r#"{"event":"crash","vm":2,"name":"c","turn":2,"reason":"panic","message":"","hint":""}"#;
        let recording = parse(&[FIRST, RUN, &turn(1, 1), crash, &end(1)]).expect("a recording");
        assert_eq!(recording.schedule(), "12");
        assert_eq!((recording.options.mode(), recording.options.consume), (Some(CpuMode::Long), Some(3)));
        assert!(matches!(recording.steps.last(), Some(Step::End(_))));
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
        // Names that are misspelt, of what has a default and of what must be there.
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
