//! Recordings: a run as JSON lines in a file, so that it can be run again and compared.
//!
//! The first line holds the options that the run's events do not, the second is the `run` event,
//! and then come the events of every turn, of a crash, and of the end. A run that was killed leaves a
//! recording without an end, and perhaps with half a line as its last; what is whole counts.

use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use guest_abi::{
    mailbox::Quota,
    mode::CpuMode,
    ring::{Capacity, MAX_CAPACITY},
    transition::Role,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::runlog::json;
use crate::{
    cli::values::{is_guest_name, parse_mode},
    lab::{
        error::Error,
        exchange::ExchangeConfig as Plan,
        schedule::{Schedule, ScheduleSpec, vm_name},
    },
    output::{self, Sink},
    process::{files, output_file::OutputFile},
    runlog::event::{Account, CrashEvent, End, Event, Finding, Guest, Turn},
};

/// The `event` of the first line.
const HEADER: &str = "recording";

/// The version of the format.
const VERSION: u32 = 1;

/// The largest recording that is read, in bytes.
const MAX_FILE_SIZE: u64 = 4 << 30;

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
    /// The producers' image, as [`Source::written`](crate::vmm::image::Source::written) has it.
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

impl Options {
    /// The options of a run.
    pub fn of(Plan { guests, limits, .. }: &Plan) -> Self {
        let items = |quota| match quota {
            Quota::Random => None,
            Quota::Items(items) => Some(items),
        };
        Self {
            producer: guests.producer.written(),
            consumer: guests.consumer.written(),
            producers: guests.producers,
            consumers: guests.consumers,
            produce: items(guests.orders.produce),
            consume: items(guests.orders.consume),
            mode: guests.mode.map(|mode| mode.name().to_owned()),
            memory: guests.memory,
            max_exits: limits.max_exits,
        }
    }

    /// The mode that was asked for.
    pub fn mode(&self) -> Option<CpuMode> {
        parse_mode(self.mode.as_deref()?).ok()
    }

    /// Whether the numbers are such as a run can have.
    fn is_sound(&self) -> bool {
        let quota = |items: Option<u32>| items.is_none_or(|items| items <= MAX_CAPACITY);
        let vms = 1..=16;
        // A path, or a guest's name: see Source::written.
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
    pub schedule: ScheduleSpec,
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

/// A sink that writes a recording and hands every event on.
///
/// The file is made when the run begins. Each line is written at once and whole, the first two
/// together: whenever the process is killed, there is no recording yet, or all that happened before (see
/// [`OutputFile::stream`]).
pub struct Recorder<'a> {
    path: PathBuf,
    header: Header,
    file: Option<OutputFile>,
    /// Whether it has begun.
    begun: bool,
    /// Why it could not be written.
    failure: Option<io::Error>,
    next: &'a mut dyn Sink,
}

impl<'a> Recorder<'a> {
    /// The recorder of a run, to a file.
    pub fn new(path: &Path, plan: &Plan, next: &'a mut dyn Sink) -> Self {
        let header = Header { event: HEADER.into(), version: VERSION, options: Options::of(plan) };
        Self { path: path.into(), header, file: None, begun: false, failure: None, next }
    }

    /// The same, to a file that was begun already.
    #[must_use]
    pub fn through(self, file: OutputFile) -> Self {
        Self { file: Some(file), ..self }
    }

    /// Puts the recording into place. The outcome of the run that was recorded.
    ///
    /// # Errors
    ///
    /// The run's; or the recording could not be written.
    pub fn conclude(self, outcome: Result<(), Error>) -> Result<(), Error> {
        // A recording that cannot be written ends the run.
        let has_failed = self.failure.is_some();
        let finished = self.finish();
        if has_failed { finished } else { output::both(outcome, finished) }
    }

    /// Puts the recording into place, if anything was recorded.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub fn finish(self) -> Result<(), Error> {
        let placed = match (self.failure, self.file) {
            (Some(failure), _) => Err(failure),
            (None, Some(file)) if self.begun => file.place(),
            (None, _) => Ok(()),
        };
        placed.map_err(|source| Error::Write { what: "recording", path: self.path, source })
    }

    fn record(&mut self, event: &Event<'_>) -> io::Result<()> {
        let mut lines = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            append_line(&mut lines, &self.header)?;
        }
        append_line(&mut lines, event)?;
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(&lines))
    }

    /// Remembers why the recording cannot be written: those that follow from it are not of interest.
    fn fail(&mut self, error: io::Error) -> io::Error {
        let kind = error.kind();
        self.failure.get_or_insert(error);
        kind.into()
    }
}

fn append_line(lines: &mut Vec<u8>, record: &impl Serialize) -> io::Result<()> {
    json::write(&mut *lines, record)?;
    lines.push(b'\n');
    Ok(())
}

impl Sink for Recorder<'_> {
    fn prepare(&mut self) -> Result<(), Error> {
        let failed = |source| Error::Write { what: "recording", path: self.path.clone(), source };
        self.file = Some(OutputFile::stream(&self.path).map_err(failed)?);
        self.next.prepare()
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if matches!(event, Event::Run(_) | Event::Turn(_) | Event::Crash(_) | Event::End(_)) {
            self.record(event).map_err(|error| self.fail(error))?;
        }
        self.next.event(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
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
    /// Reads a recording.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a whole line of it is none of a recording's.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let error = |line, problem| RecordingError { path: path.into(), line, problem };
        let file =
            files::open_run(path, MAX_FILE_SIZE).map_err(|source| error(None, Problem::Read(source)))?;
        Self::read(file).map_err(|(line, problem)| error(Some(line), problem))
    }

    /// Reads a recording, line by line.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), with the line, from 1.
    pub fn read(from: impl BufRead) -> Result<Self, (usize, Problem)> {
        let mut lines = files::lines(from);
        let header: Value = first(&mut lines, 1, "the line that begins a recording")?;
        if header["event"] != HEADER {
            return Err((1, Problem::NoRecording));
        }
        if header["version"] != VERSION {
            return Err((1, Problem::Version(header["version"].to_string())));
        }
        let header: Header = serde_json::from_value(header).map_err(|source| (1, Problem::json(&source)))?;
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
                serde_json::from_slice(&line).map_err(|source| (number, Problem::json(&source)))?;
            check_step(&step, steps.last(), turns, vms, &run).map_err(|problem| (number, problem))?;
            turns += u64::from(matches!(step, Step::Turn(_)));
            steps.push(step);
        }
        let recording = Self { options: header.options, run, steps };
        recording.check_schedule(vms).map_err(|problem| (2, problem))?;
        Ok(recording)
    }

    /// The turns must be those of the schedule; what stood in a schedule's file is not known any more.
    fn check_schedule(&self, vms: usize) -> Result<(), Problem> {
        let RecordedRun { schedule, turns, seed, .. } = &self.run;
        if matches!(schedule, ScheduleSpec::File(_)) {
            return Ok(());
        }
        let schedule = Schedule::new(schedule, vms, Some(*turns), *seed)
            .map_err(|_| Problem::Contradiction("the schedule"))?;
        let planned = schedule.into_turns().filter_map(|vm| u32::try_from(vm + 1).ok()).filter_map(vm_name);
        let recorded = self.schedule();
        match recorded.len() as u64 <= *turns
            && recorded.chars().zip(planned).all(|(one, other)| one == other)
        {
            true => Ok(()),
            false => Err(Problem::Contradiction("the schedule is not that of the turns")),
        }
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

fn first<T: DeserializeOwned>(
    lines: &mut impl Iterator<Item = (usize, io::Result<Vec<u8>>)>,
    number: usize,
    what: &'static str,
) -> Result<T, (usize, Problem)> {
    let (_, line) = lines.next().ok_or((number, Problem::Missing(what)))?;
    let line = line.map_err(|source| (number, Problem::Read(source)))?;
    serde_json::from_slice(&line).map_err(|source| match number {
        1 => (1, Problem::NoRecording),
        number => (number, Problem::json(&source)),
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

/// A recording cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("recording {}{}: {problem}", path.display(), line.map_or(String::new(), |line| format!(", line {line}")))]
pub struct RecordingError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a recording.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(io::Error),
    /// Something else than a recording.
    #[error("not a recording; `cargo xtask run prodcons --record FILE` makes one")]
    NoRecording,
    /// A recording of another format.
    #[error("its format has version {0}, and this host knows {VERSION}")]
    Version(String),
    /// The file ends before it has begun.
    #[error("{0} is missing: the file was cut off, or the run was stopped before it began")]
    Missing(&'static str),
    /// A line that is none of a recording's.
    #[error("not a line of a recording, edited perhaps: {0}")]
    Json(String),
    /// A line that does not go with those before it.
    #[error("it contradicts the lines before it, edited perhaps: {0}")]
    Contradiction(&'static str),
    /// A recording of another ABI.
    #[error(
        "it was made with guest ABI {abi}, and this host has {}: only the same can be compared",
        guest_abi::VERSION
    )]
    Abi {
        /// The version in the recording.
        abi: String,
    },
    /// A recording of other images.
    #[error(
        "VM {vm} ran {name} with sha256 {recorded}, and the image here has {here}: only the same can be compared"
    )]
    Image {
        /// The VM's number.
        vm: u32,
        /// The image's name.
        name: String,
        /// The hash in the recording.
        recorded: String,
        /// The hash of the image here.
        here: String,
    },
}

impl Problem {
    fn json(source: &serde_json::Error) -> Self {
        Self::Json(json_problem(source))
    }
}

/// What serde says of a line, without the line's number, which is always 1.
pub(crate) fn json_problem(source: &serde_json::Error) -> String {
    let text = source.to_string();
    let place = format!(" at line {} column {}", source.line(), source.column());
    text.strip_suffix(&place).map_or(text.clone(), |text| format!("{text}, column {}", source.column()))
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
        // Turns were taken away, or changed places, or the schedule is another.
        assert_eq!(line(&[FIRST, RUN, &turn(1, 1), &end(1)]), 4);
        assert_eq!(line(&[FIRST, RUN, &turn(1, 1), &end(2)]), 4);
        assert_eq!(line(&[FIRST, RUN, &turn(1, 2)]), 2);
        assert_eq!(line(&[FIRST, &RUN.replace("alternate", "string:21"), &turn(1, 1)]), 2);
        assert_eq!(line(&[FIRST, &RUN.replace("alternate", "free"), &turn(1, 1)]), 2);
        assert_eq!(line(&[FIRST, &RUN.replace("\"turns\":2", "\"turns\":0"), &turn(1, 1)]), 2);
        assert_eq!(line(&[FIRST, RUN, &turn(1, 1).replace("exits", "exit")]), 3);
        assert_eq!(line(&[&FIRST.replace("\"p\"", "\"p\\n\""), RUN]), 1);
        let bytes = [FIRST.as_bytes(), b"\n", RUN.as_bytes(), b"\n\xFF\n"].concat();
        assert!(matches!(Recording::read(&bytes[..]), Err((3, Problem::Json(_)))));
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
