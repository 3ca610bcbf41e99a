//! Recordings: a run as JSON lines in a file, so that it can be run again and compared.
//!
//! The first line holds the options that the run's events do not, the second is the `run` event,
//! and then come the events of every turn, of a crash, and of the end. A run that was killed leaves a
//! recording without an end, and perhaps with half a line as its last; what is whole counts.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use guest_abi::{
    mailbox::Quota,
    mode::CpuMode,
    ring::{Capacity, MAX_CAPACITY},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    event::{CrashEvent, Event, Turn},
    output::{Patient, Sink},
    prodcons::Plan,
    values::parse_mode,
};

/// The version of the format.
const VERSION: u32 = 1;

/// The largest recording that is read, in bytes.
const MAX_FILE_SIZE: u64 = 4 << 30;

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    event: String,
    version: u32,
    /// The options of the run.
    pub options: Options,
}

/// The options of a run that its `run` event does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The producers' image, as [`Source::written`](crate::image::Source::written) has it.
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
    /// The time that a turn may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_timeout: Option<Duration>,
    /// The number of exits that a VM may cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_exits: Option<u64>,
}

impl Options {
    fn of(Plan { guests, limits, .. }: &Plan) -> Self {
        let items = |quota| match quota {
            Quota::Random => None,
            Quota::Items(items) => Some(items),
        };
        Self {
            producer: guests.producer.written(),
            consumer: guests.consumer.written(),
            producers: guests.producers,
            consumers: guests.consumers,
            produce: items(guests.produce),
            consume: items(guests.consume),
            mode: guests.mode.map(|mode| mode.name().to_owned()),
            memory: guests.memory,
            turn_timeout: limits.turn_timeout,
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
        vms.contains(&self.producers)
            && vms.contains(&self.consumers)
            && quota(self.produce)
            && quota(self.consume)
            && self.mode.is_none() == self.mode().is_none()
    }
}

/// The second line: what a replay needs of the `run` event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RecordedRun {
    /// The guest ABI of the host that recorded.
    pub abi: String,
    /// The seed of all chance.
    pub seed: u64,
    /// The ring's capacity.
    pub capacity: u32,
    /// The guests, in the order of their VMs.
    pub guests: Vec<RecordedGuest>,
}

/// A guest of a recorded run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RecordedGuest {
    /// The VM's number.
    pub vm: u32,
    /// The image's name.
    pub name: String,
    /// The SHA-256 of the image's file.
    pub sha256: String,
}

/// A turn, or the crash that ended the run, as a recording has it: what can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Step {
    /// A turn.
    Turn(RecordedTurn),
    /// A crash.
    Crash(RecordedCrash),
}

/// See [`Step::Turn`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTurn {
    /// The turn's number, from 1.
    pub turn: u64,
    /// The VM's number.
    pub vm: u32,
    /// What its guest does.
    pub role: String,
    /// The items that moved.
    pub items: Vec<u32>,
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
    pub from: Option<Vec<u32>>,
}

impl From<&Turn<'_>> for RecordedTurn {
    fn from(turn: &Turn<'_>) -> Self {
        let &Turn { turn, vm, role, items, prod_p, cons_p, count, exits, ref from, .. } = turn;
        let (role, items) = (role.name().into(), items.into());
        Self { turn, vm, role, items, prod_p, cons_p, count, exits, from: from.clone() }
    }
}

/// See [`Step::Crash`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCrash {
    /// The VM's number.
    pub vm: u32,
    /// The turn in which it happened.
    pub turn: Option<u64>,
    /// The reason's name.
    pub reason: String,
}

impl From<&CrashEvent<'_>> for RecordedCrash {
    fn from(crash: &CrashEvent<'_>) -> Self {
        Self { vm: crash.vm, turn: crash.turn, reason: crash.reason.into() }
    }
}

/// A sink that writes a recording and hands every event on.
///
/// Each line is written at once and whole, the first two together: whenever the process is killed,
/// the file holds nothing yet, or all that happened before.
pub struct Recorder<'a> {
    file: Patient<File>,
    /// What is to be written with the next line.
    line: Vec<u8>,
    next: &'a mut dyn Sink,
}

impl<'a> Recorder<'a> {
    /// Begins the recording of a run.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn create(path: &Path, plan: &Plan, next: &'a mut dyn Sink) -> io::Result<Self> {
        let mut line = Vec::new();
        let header = Header { event: "recording".into(), version: VERSION, options: Options::of(plan) };
        append_line(&mut line, &header)?;
        Ok(Self { file: Patient::new(File::create(path)?), line, next })
    }
}

fn append_line(lines: &mut Vec<u8>, record: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, record)?;
    lines.push(b'\n');
    Ok(())
}

impl Sink for Recorder<'_> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if matches!(event, Event::Run(_) | Event::Turn(_) | Event::Crash(_) | Event::End(_)) {
            append_line(&mut self.line, event)?;
            self.file.write_all(&self.line)?;
            self.line.clear();
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
    /// Whether the recording has its end; one of a killed run has none.
    pub complete: bool,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a whole line of it is none of a recording's.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let error = |line, problem| RecordingError { path: path.into(), line, problem };
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE_SIZE).read_to_string(&mut text))
            .map_err(|source| error(None, Problem::Read(source)))?;
        Self::parse(&text).map_err(|(line, problem)| error(Some(line), problem))
    }

    /// Parses a recording; an error comes with its line, from 1.
    fn parse(text: &str) -> Result<Self, (usize, Problem)> {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = (1..).zip(whole.lines());
        let header: Header = first(&mut lines, 1, "the line that begins a recording")?;
        if header.event != "recording" || !header.options.is_sound() {
            return Err((1, Problem::NoRecording));
        }
        if header.version != VERSION {
            return Err((1, Problem::Version(header.version)));
        }
        let run: RecordedRun = first(&mut lines, 2, "the `run` line")?;
        let vms = header.options.producers + header.options.consumers;
        if Capacity::new(run.capacity).is_none() || run.guests.len() != vms {
            return Err((2, Problem::Contradiction("capacity and guests")));
        }
        let (mut steps, mut complete) = (Vec::new(), false);
        for (number, line) in lines {
            let value: Value =
                serde_json::from_str(line).map_err(|source| (number, Problem::Json(source)))?;
            if complete {
                return Err((number, Problem::Contradiction("what comes after the end")));
            }
            if value["event"] == "end" {
                complete = true;
                continue;
            }
            let step: Step =
                serde_json::from_value(value).map_err(|source| (number, Problem::Json(source)))?;
            check_step(&step, &steps, vms).map_err(|problem| (number, problem))?;
            steps.push(step);
        }
        Ok(Self { options: header.options, run, steps, complete })
    }

    /// The VMs of the turns, as a written schedule has them; the turn of a crash included.
    pub fn schedule(&self) -> String {
        let vm = |step: &Step| match step {
            Step::Turn(RecordedTurn { vm, .. }) => Some(*vm),
            Step::Crash(RecordedCrash { turn, vm, .. }) => turn.map(|_| *vm),
        };
        self.steps.iter().filter_map(vm).filter_map(crate::schedule::vm_name).collect()
    }
}

fn first<'a, T: Deserialize<'a>>(
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
    number: usize,
    what: &'static str,
) -> Result<T, (usize, Problem)> {
    let (_, line) = lines.next().ok_or((number, Problem::Missing(what)))?;
    serde_json::from_str(line).map_err(|source| (number, Problem::Json(source)))
}

/// Turns are numbered from 1, and nothing follows a crash.
fn check_step(step: &Step, before: &[Step], vms: usize) -> Result<(), Problem> {
    if matches!(before.last(), Some(Step::Crash(_))) {
        return Err(Problem::Contradiction("what comes after the crash"));
    }
    let next = before.len() as u64 + 1;
    let (number, vm) = match step {
        Step::Turn(RecordedTurn { turn, vm, .. }) => (*turn, *vm),
        Step::Crash(RecordedCrash { turn, vm, .. }) => (turn.unwrap_or(next), *vm),
    };
    match number == next && (1..=vms).contains(&(vm as usize)) {
        true => Ok(()),
        false => Err(Problem::Contradiction("the number of the turn, or that of its VM")),
    }
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
    Version(u32),
    /// The file ends before it has begun.
    #[error("{0} is missing: the file was cut off, or the run was stopped before it began")]
    Missing(&'static str),
    /// A line that is none of a recording's.
    #[error("not a line of a recording, edited perhaps: {0}")]
    Json(serde_json::Error),
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"event":"recording","version":1,"options":{"producer":"p","consumer":"c","producers":1,"consumers":1,"produce":null,"consume":3,"mode":"long","memory":2097152}}"#;
    const RUN: &str = r#"{"event":"run","experiment":"prodcons","abi":"1.0","seed":7,"capacity":6,"schedule":"random","turns":2,"guests":[{"vm":1,"name":"p","role":"producer","sha256":"aa"},{"vm":2,"name":"c","role":"consumer","sha256":"bb"}]}"#;

    fn turn(number: u64, vm: u32) -> String {
        format!(
            r#"{{"event":"turn","turn":{number},"vm":{vm},"role":"producer","items":[1],"prod_p":1,"cons_p":0,"count":1,"exits":1}}"#
        )
    }

    fn parse(lines: &[&str]) -> Result<Recording, (usize, Problem)> {
        Recording::parse(&(lines.join("\n") + "\n"))
    }

    #[test]
    fn a_recording_is_read() {
        let crash = r#"{"event":"crash","vm":2,"name":"c","turn":2,"reason":"panic","message":"","hint":""}"#;
        let end = r#"{"event":"end","turns":1}"#;
        let recording = parse(&[HEADER, RUN, &turn(1, 1), crash, end]).expect("a recording");
        assert_eq!(recording.schedule(), "12");
        assert_eq!((recording.options.mode(), recording.options.consume), (Some(CpuMode::Long), Some(3)));
        assert!(recording.complete);
    }

    #[test]
    fn what_a_killed_run_leaves_counts_up_to_its_last_whole_line() {
        let text = [HEADER, RUN, &turn(1, 1), &turn(2, 2)].join("\n");
        for cut in HEADER.len() + RUN.len() + 2..text.len() {
            let recording = Recording::parse(&text[..cut]).expect("whole lines");
            assert!(recording.steps.len() <= 1 && !recording.complete);
        }
        for cut in 0..=HEADER.len() + RUN.len() {
            assert!(matches!(Recording::parse(&text[..cut]), Err((_, Problem::Missing(_)))), "{cut}");
        }
    }

    #[test]
    fn what_was_edited_is_named_with_its_line() {
        let line = |lines: &[&str]| parse(lines).map_err(|(line, _)| line).expect_err("edited");
        assert_eq!(line(&["{}", RUN]), 1);
        assert_eq!(line(&[&HEADER.replace("\"version\":1", "\"version\":9"), RUN]), 1);
        assert_eq!(line(&[&HEADER.replace("\"producers\":1", "\"producers\":0"), RUN]), 1);
        assert_eq!(line(&[HEADER, &RUN.replace("\"capacity\":6", "\"capacity\":65")]), 2);
        assert_eq!(line(&[HEADER, RUN, "half a line"]), 3);
        assert_eq!(line(&[HEADER, RUN, &turn(2, 1)]), 3);
        assert_eq!(line(&[HEADER, RUN, &turn(1, 3)]), 3);
        assert_eq!(line(&[HEADER, RUN, &turn(1, 1), r#"{"event":"end"}"#, &turn(2, 1)]), 5);
    }
}
