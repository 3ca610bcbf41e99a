//! Replays: the guests of a recording run again, in real VMs, along its turns; the first difference
//! is reported with both sides.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use guest_abi::{mailbox::Quota, mode::CpuMode, ring::Capacity};

use crate::{
    error::Error,
    event::Event,
    image::{Image, Request},
    kvm::System,
    machine::Secrets,
    output::{self, Sink},
    prodcons::{self, Plan},
    recording::{Options, Problem, RecordedCrash, RecordedTurn, Recording, RecordingError, Step},
    schedule::ScheduleSpec,
};

/// Runs a recording again.
///
/// # Errors
///
/// The recording, an image or the machine cannot be used, or [`Error::Differs`].
pub fn run(system: &System, path: &Path, timeout: Duration) -> Result<(), Error> {
    let recording = Recording::open(path)?;
    let refuse = |problem| RecordingError { path: path.into(), line: None, problem };
    check_abi(&recording).map_err(refuse)?;
    check_images(&recording, path)?;
    let turns = recording.schedule();
    if turns.is_empty() {
        return output::line("identical: the recording has no turns");
    }
    let plan = plan(&recording, turns, timeout);
    let mut checker = Checker { recording: &recording, next: 0, difference: None };
    let outcome = prodcons::run(system, &plan, &mut checker);
    checker.verdict(outcome)
}

/// The images that a replay needs: those that the run took from the images' folder.
///
/// # Errors
///
/// The recording cannot be used.
pub fn needs(path: &Path, own: impl Fn(&str, CpuMode) -> PathBuf) -> Result<Vec<(String, CpuMode)>, Error> {
    let options = Recording::open(path)?.options;
    let mode = options.mode().unwrap_or(CpuMode::Protected);
    let images = [("guest-producer", &options.producer), ("guest-consumer", &options.consumer)];
    let own = images.into_iter().filter(|(name, path)| own(name, mode).file_name() == path.file_name());
    Ok(own.map(|(name, _)| (name.to_owned(), mode)).collect())
}

fn check_abi(recording: &Recording) -> Result<(), Problem> {
    match &recording.run.abi {
        abi if *abi == guest_abi::VERSION.to_string() => Ok(()),
        abi => Err(Problem::Abi { abi: abi.clone() }),
    }
}

fn check_images(recording: &Recording, path: &Path) -> Result<(), Error> {
    let Options { producer, consumer, producers, .. } = &recording.options;
    let request = Request { mode: recording.options.mode(), ..Request::default() };
    let (producer, consumer) = (Image::open(producer, request)?, Image::open(consumer, request)?);
    for (index, guest) in recording.run.guests.iter().enumerate() {
        let image = if index < *producers { &producer } else { &consumer };
        if image.sha256() != guest.sha256 {
            let problem = Problem::Image {
                vm: guest.vm,
                name: guest.name.clone(),
                recorded: guest.sha256.clone(),
                here: image.sha256().into(),
            };
            return Err(RecordingError { path: path.into(), line: Some(2), problem }.into());
        }
    }
    Ok(())
}

/// The run that the recording is of, along its turns.
fn plan(recording: &Recording, turns: String, timeout: Duration) -> Plan {
    let options = &recording.options;
    let quota = |items: Option<u32>| items.map_or(Quota::Random, Quota::Items);
    Plan {
        producer: options.producer.clone(),
        consumer: options.consumer.clone(),
        producers: options.producers,
        consumers: options.consumers,
        mode: options.mode(),
        schedule: ScheduleSpec::String(turns),
        turns: None,
        items: None,
        capacity: Capacity::new(recording.run.capacity).unwrap_or(Capacity::DEFAULT),
        produce: quota(options.produce),
        consume: quota(options.consume),
        seed: recording.run.seed,
        memory: options.memory,
        timeout,
        secrets: Secrets::Kept,
        stats: false,
    }
}

/// A sink that compares events with a recording, and stops the run at the first difference.
struct Checker<'a> {
    recording: &'a Recording,
    next: usize,
    difference: Option<Difference>,
}

/// What a replay found to be different.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it differs at turn {turn}\n  recorded: {recorded}\n  replayed: {replayed}")]
pub struct Difference {
    /// The turn, from 1.
    pub turn: u64,
    /// The recorded side, as JSON.
    pub recorded: String,
    /// The replayed side, as JSON.
    pub replayed: String,
}

impl Checker<'_> {
    fn compare(&mut self, step: Step) -> io::Result<()> {
        let recorded = self.recording.steps.get(self.next);
        let turn = self.next as u64 + 1;
        self.next += 1;
        if recorded == Some(&step) {
            return Ok(());
        }
        let recorded = recorded.map_or_else(|| "nothing".into(), shown);
        self.difference = Some(Difference { turn, recorded, replayed: shown(&step) });
        Err(io::Error::other("the replay differs"))
    }

    /// What is to be said of a replay that ended so.
    fn verdict(self, outcome: Result<(), Error>) -> Result<(), Error> {
        if let Some(difference) = self.difference {
            return Err(Error::Differs(difference));
        }
        let crashed = matches!(self.recording.steps.last(), Some(Step::Crash(_)));
        match outcome {
            Err(Error::Guest(_)) if crashed => {}
            outcome => outcome?,
        }
        if let Some(missing) = self.recording.steps.get(self.next) {
            let (turn, recorded) = (self.next as u64 + 1, shown(missing));
            return Err(Error::Differs(Difference { turn, recorded, replayed: "nothing".into() }));
        }
        let how = match (crashed, self.recording.complete) {
            (true, _) => ", up to the same crash",
            (false, true) => "",
            (false, false) => "; the recording has no end: its run was stopped",
        };
        output::line(&format!("identical: {} turns{how}", self.next - usize::from(crashed)))
    }
}

impl Sink for Checker<'_> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Turn(turn) => self.compare(Step::Turn(RecordedTurn::from(turn))),
            Event::Crash(crash) => self.compare(Step::Crash(RecordedCrash::from(crash))),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shown(step: &Step) -> String {
    let json = match step {
        Step::Turn(turn) => serde_json::to_string(turn),
        Step::Crash(crash) => serde_json::to_string(crash),
    };
    json.unwrap_or_else(|error| error.to_string())
}
