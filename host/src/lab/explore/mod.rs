//! The explorer: searches for a schedule, a capacity and a seed at which a guest of the exchange fails, and shrinks
//! the failure.
//!
//! ```text
//! search (which trials) -> TrialRunner (runs them on KVM) -> shrink -> a recorded run -> Outcome
//! ```

mod config;
mod outcome;
mod progress;
mod search;
mod shrink;
mod trial;
mod verdict;

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use config::ExploreConfig;
pub use search::Capacities;
pub use trial::Trial;

use crate::{
    lab::{error::Error, exchange::Vms, needs::Needs, recorder::Recorder, session::Session, vm::Platform},
    output,
    process::{
        jail::Jail,
        output_file::{Named, OutputFile, check_distinct},
    },
    runlog::{sink::Silence, verdict::Searched},
};
use outcome::{Failure, Moved};
use progress::Progress;
use search::{Short, Space};
use shrink::shrink;
use trial::{FailedTrial, TrialRunner};
use verdict::Outcome;

/// The time limit for shrinking a failure.
const SHRINKING: Duration = Duration::from_secs(45);

/// The number of searches for the same guests that can record at once.
const MOST_SEARCHES: u32 = 100;

/// Searches for a failure, shrinks and records it, and prints the verdict.
///
/// # Errors
///
/// [`Error::Guest`] if a guest failed; [`Error::Findings`] if none failed, and one is not random where it should be.
/// Other errors are not the guests'.
pub fn run(system: &Platform, jail: &Jail, config: &ExploreConfig) -> Result<(), Error> {
    let count = config.guests.vms();
    let space =
        Space { capacities: config.capacities, vms: count, seed: config.seed, orders: config.guests.orders };
    let short = space.short(config.depth).zip(space.ordered(config.depth));
    let (short, ordered) = short.ok_or_else(|| {
        Error::Usage(format!(
            "--depth {}: so many schedules of {count} VMs are beyond counting",
            config.depth
        ))
    })?;
    check_distinct(config.guests.images(), [Named::new("--record", &config.recording)].into())?;
    let vms = Vms::open(system, &config.guests)?;
    let mut searched = Searched { short: 0, of: short.len(), ordered: 0, random: 0 };
    verdict::report_search(config, &vms, short.len(), ordered.len() as u64)?;

    // The recording is opened before the search, so that a bad path does not lose a result.
    let (recording, file) = begin_recording(config)?;
    let config = &ExploreConfig { recording, ..config.clone() };

    let mut silence = Silence;
    let needs = Needs { explores: true, ..Needs::default() }.on(vms.engine());
    let session = Session::start(&config.limits, jail, needs, &mut silence)?;
    let mut runner = TrialRunner::new(system, &vms, session)?;
    let progress = Progress::new(config.quiet);
    let began = Instant::now();
    let found = match search(&mut runner, config, space, short, ordered, &mut searched, &progress)? {
        Some(first) => Some(shrink_and_record(&mut runner, config, file, first, &progress)?),
        None => None,
    };
    drop(progress);
    let (cost, time) = (runner.cost(), began.elapsed());
    // No guest runs any more, so a signal ends the program at once from here on.
    let moved = Moved::new(&vms, &runner.into_records());
    // After a failure the search is incomplete, so that it proves little about chance.
    let findings = if found.is_some() { Vec::new() } else { moved.findings.clone() };
    let printed = Outcome { config, vms: &vms, searched, cost, time, moved, found: found.as_ref() }.print();
    match found {
        // The failure of a guest is more important than that of the output.
        Some(Failure { error, repeats: true, .. }) => Err(Error::Guest(error)),
        Some(Failure { error, repeats: false, .. }) => Err(Error::Unrepeatable(error)),
        None if findings.is_empty() => printed,
        None => Err(Error::Findings(findings)),
    }
}

/// Runs trials until one fails or the search is over. Returns the failed trial, up to its last turn.
fn search(
    runner: &mut TrialRunner<'_>,
    config: &ExploreConfig,
    space: Space,
    short: Short,
    ordered: impl ExactSizeIterator<Item = Trial>,
    searched: &mut Searched,
    progress: &Progress,
) -> Result<Option<FailedTrial>, Error> {
    let schedules = format!("every schedule of {} turns", config.depth);
    progress.begin(Some(short.len()), &schedules);
    if let Some(failure) = first_failure(runner, short, &mut searched.short, progress)? {
        return Ok(Some(failure));
    }
    progress.begin(Some(ordered.len() as u64), &format!("{schedules} with fixed numbers of items"));
    if let Some(failure) = first_failure(runner, ordered, &mut searched.ordered, progress)? {
        return Ok(Some(failure));
    }
    progress.begin(config.runs, "random schedules");
    let runs = config.runs.map_or(usize::MAX, |runs| usize::try_from(runs).unwrap_or(usize::MAX));
    let until = config.time.and_then(|time| Instant::now().checked_add(time));
    let in_time = |_: &Trial| until.is_none_or(|until| Instant::now() < until);
    let random = space.random().take(runs).take_while(in_time);
    first_failure(runner, random, &mut searched.random, progress)
}

/// Runs these trials until one fails. Counts them in `made`.
fn first_failure(
    runner: &mut TrialRunner<'_>,
    trials: impl Iterator<Item = Trial>,
    made: &mut u64,
    progress: &Progress,
) -> Result<Option<FailedTrial>, Error> {
    for trial in trials {
        *made += 1;
        if let Some(failure) = runner.fails(&trial)? {
            return Ok(Some(failure));
        }
        progress.step();
    }
    Ok(None)
}

/// Shrinks a failure, and records a run that shows it.
fn shrink_and_record(
    runner: &mut TrialRunner<'_>,
    config: &ExploreConfig,
    file: OutputFile,
    first: FailedTrial,
    progress: &Progress,
) -> Result<Failure, Error> {
    progress.begin(None, "shrinking what was found");
    let before = runner.cost().runs;
    let until = Instant::now() + SHRINKING;
    let mut passed = HashSet::new();
    let mut gave_up = false;
    let mut shrunk = shrink(first.trial.clone(), config.guests.vms(), config.guests.orders, |trial| {
        if passed.contains(trial) {
            return Ok(false);
        }
        if Instant::now() >= until {
            gave_up = true;
            return Ok(false);
        }
        progress.step();
        let fails = runner.fails(trial)?.is_some();
        if !fails {
            passed.insert(trial.clone());
        }
        Ok::<_, Error>(fails)
    })?;
    shrunk.shortest &= !gave_up;
    let mut found = Failure {
        first: first.trial,
        after: before,
        shrunk,
        gave_up,
        in_runs: runner.cost().runs - before,
        repeats: true,
        error: first.error,
        recorded: true,
    };
    let exchange = config.exchange(&found.shrunk.trial);
    let mut silence = Silence;
    let mut recorder = Recorder::new(&config.recording, &exchange, &mut silence).through(file);
    match runner.run_again(&exchange, &mut recorder) {
        Err(Error::Guest(error)) => found.error = error,
        Ok(()) => found.repeats = false,
        // An error of the recording is reported below.
        Err(Error::Output(_)) => {}
        Err(error) => return Err(error),
    }
    found.recorded = recorder.finish().inspect_err(|error| output::warn(&error.to_string())).is_ok();
    Ok(found)
}

/// Begins the recording, and creates its folder if it is missing. Returns its path, too.
fn begin_recording(config: &ExploreConfig) -> Result<(PathBuf, OutputFile), Error> {
    let failed = |source| Error::Write { what: "recording", path: config.recording.clone(), source };
    let folder = config.recording.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    if !config.renames_recording {
        let file = OutputFile::whole(&config.recording).map_err(failed)?;
        return Ok((config.recording.clone(), file));
    }
    // Another search at the same time has its own file.
    let names = (2..=MOST_SEARCHES).map(|number| numbered(&config.recording, number));
    for name in [config.recording.clone()].into_iter().chain(names) {
        match OutputFile::alone(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => return Ok((name, outcome.map_err(failed)?)),
        }
    }
    Err(failed(io::ErrorKind::AlreadyExists.into()))
}

/// Returns a path with a number in front of the extension.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}."));
    name.push(path.extension().unwrap_or_default());
    path.with_file_name(name)
}
