//! Replays: run the guests of a recording again in VMs, with the same turns, and report the first difference.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use guest_abi::{mailbox::Quota, mode::CpuMode, ring::Capacity};

use crate::{
    lab::exchange::source::Source,
    lab::vm::Platform,
    lab::{
        error::Error,
        exchange::{self, ExchangeConfig, Guests},
        failure::Difference,
        limits::Limits,
        run_files::open_recording,
        schedule,
    },
    output,
    process::jail::Jail,
    runlog::{
        error::{self, Kind, Problem},
        event::{Event, Run},
        header::Options,
        recording::{self, Recording},
        ring_check::Orders,
        sink::Sink,
    },
    vmm::HvaPolicy,
};

/// Runs a recording, which has this path, again. `own` returns the path of the image of a guest with a name.
///
/// # Errors
///
/// An image or the machine cannot be used, or [`Error::Differs`].
pub fn run(
    system: Platform,
    jail: &Jail,
    path: &Path,
    mut recording: Recording,
    timeout: Duration,
    own: impl Fn(&str, CpuMode) -> PathBuf,
) -> Result<(), Error> {
    let refuse = |problem| refused(path, None, problem);
    check_abi(&recording).map_err(refuse)?;
    let guests = guests(&recording.options, own);
    let deadline = recording.cut_deadline();
    let turns = recording.schedule();
    let config = config(&recording, guests, turns, timeout);
    let mut checker =
        Checker { recording: &recording, engine: String::new(), next: 0, timed_out: false, stopped: None };
    let outcome = exchange::run(system, jail, &config, &mut checker);
    match checker.stopped {
        Some(Stopped::OtherImage(problem)) => Err(refused(path, Some(2), problem).into()),
        Some(Stopped::Difference(difference)) => Err(Error::Differs(difference)),
        None => checker.verdict(outcome, deadline),
    }
}

fn refused(path: &Path, line: Option<usize>, problem: Problem) -> error::Error {
    error::Error { kind: Kind::Recording, path: path.into(), line, problem }
}

/// Returns the guests with a name, whose images a replay needs.
///
/// # Errors
///
/// The recording cannot be used.
pub fn needs(path: &Path) -> Result<Vec<(String, CpuMode)>, Error> {
    Ok(named_guests(&open_recording(path)?.options))
}

/// Returns the guests with a name, and the mode for which they are built.
pub fn named_guests(options: &Options) -> Vec<(String, CpuMode)> {
    let guests = guests(options, |_, _| PathBuf::new());
    let names = [guests.producer, guests.consumer].into_iter().filter_map(|source| source.guest);
    names.map(|name| (name, image_mode(options))).collect()
}

/// Returns the mode for which guests with a name are built.
fn image_mode(options: &Options) -> CpuMode {
    options.mode().unwrap_or(CpuMode::Protected)
}

/// Returns the guests of a recorded run.
pub fn guests(options: &Options, own: impl Fn(&str, CpuMode) -> PathBuf) -> Guests {
    let quota = |items: Option<u32>| items.map_or(Quota::Random, Quota::Items);
    let source = |text: &str| Source::read(text, |name| own(name, image_mode(options)));
    Guests {
        producer: source(&options.producer),
        consumer: source(&options.consumer),
        producers: options.producers,
        consumers: options.consumers,
        orders: Orders { produce: quota(options.produce), consume: quota(options.consume) },
        mode: options.mode(),
        memory: options.memory,
        secrets: HvaPolicy::Deny,
    }
}

fn check_abi(recording: &Recording) -> Result<(), Problem> {
    match &recording.run.abi {
        abi if *abi == guest_abi::VERSION.to_string() => Ok(()),
        abi => Err(Problem::Abi { abi: abi.clone() }),
    }
}

/// Returns the configuration of the recorded run, with its turns as the schedule.
fn config(recording: &Recording, guests: Guests, turns: String, timeout: Duration) -> ExchangeConfig {
    let capacity = recording.run.ring().unwrap_or(Capacity::DEFAULT);
    let limits = limits(&recording.options, timeout);
    ExchangeConfig::plain(guests, schedule::of_turns(turns), capacity, recording.run.seed, limits)
}

/// Returns the limits of the recorded run that may have ended it, except time. Guests' output is not shown, so it needs
/// no limit.
fn limits(options: &Options, timeout: Duration) -> Limits {
    Limits { max_exits: options.max_exits, max_output: u64::MAX, ..Limits::deadline(timeout) }
}

/// A sink that compares events with a recording, and stops the run at the first difference.
struct Checker<'a> {
    recording: &'a Recording,
    /// The engine of the replay.
    engine: String,
    next: usize,
    /// True if the replay's own deadline passed.
    timed_out: bool,
    stopped: Option<Stopped>,
}

/// The reason why a replay was stopped.
enum Stopped {
    /// An image differs from the recorded one.
    OtherImage(Problem),
    /// A turn differs.
    Difference(Difference),
}

impl Checker<'_> {
    fn check_images(&mut self, run: &Run) -> io::Result<()> {
        let mut guests = self.recording.run.guests.iter().zip(&run.guests);
        match guests.find(|(recorded, here)| recorded != here) {
            None => Ok(()),
            Some((recorded, here)) => self.stop(Stopped::OtherImage(Problem::image(recorded, here))),
        }
    }

    /// Stops the run with an error that is not shown.
    fn stop(&mut self, why: Stopped) -> io::Result<()> {
        self.stopped = Some(why);
        Err(io::Error::other("the replay is stopped"))
    }

    fn compare(&mut self, step: &Event<'_>) -> io::Result<()> {
        let recorded = self.recording.steps.get(self.next);
        let turn = self.next as u64 + 1;
        self.next += 1;
        if recorded.is_some_and(|recorded| recording::is_same(recorded, step)) {
            return Ok(());
        }
        let recorded = recorded.map_or_else(|| "nothing".into(), recording::compared);
        let (replayed, hint) = (recording::compared(step), self.hint());
        self.stop(Stopped::Difference(Difference { turn, recorded, replayed, hint }))
    }

    /// Returns the advice for a difference: the engines differ, and a guest may depend on the time.
    fn hint(&self) -> String {
        let recorded = &self.recording.run.engine;
        match *recorded == self.engine {
            true => String::new(),
            false => format!(
                "\n  try: --engine {recorded}, which made the recording; guests that use the time differ on {}",
                self.engine
            ),
        }
    }

    /// Returns the result of a replay with this outcome. `deadline` is true if a deadline ended the recorded run.
    fn verdict(self, outcome: Result<(), Error>, deadline: bool) -> Result<(), Error> {
        let steps = &self.recording.steps;
        let turns = steps.iter().filter(|step| matches!(step, Event::Turn(_))).count();
        let crashed = steps.iter().any(|step| matches!(step, Event::Crash(_)));
        match outcome {
            Err(Error::Guest(error)) if crashed && !error.end.is_time_dependent() => {}
            outcome => outcome?,
        }
        if let Some(missing) = steps.get(self.next) {
            let (turn, recorded) = (self.next as u64 + 1, recording::compared(missing));
            let (replayed, hint) = ("nothing".into(), self.hint());
            return Err(Error::Differs(Difference { turn, recorded, replayed, hint }));
        }
        let how = match (crashed, deadline, steps.last()) {
            (true, ..) => ", up to the same crash",
            (_, true, _) => ", up to the deadline that ended the recorded run",
            (_, _, Some(Event::End(_))) => "",
            _ => "; the recording has no end: its run was stopped",
        };
        output::line(&format!("identical: {turns} turns{how}"))
    }
}

impl Sink for Checker<'_> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Run(run) => {
                self.engine.clone_from(&run.engine);
                self.check_images(run)
            }
            // The replay's own clock says nothing of the guests, and nor does what comes after.
            Event::Crash(crash) if crash.is_time_dependent() => {
                self.timed_out = true;
                Ok(())
            }
            Event::Turn(_) | Event::Crash(_) => self.compare(event),
            // A run that was stopped has no end, but its replay has.
            Event::End(_) if !self.timed_out && self.next < self.recording.steps.len() => self.compare(event),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
