//! The explorer: searches for a schedule, a capacity and a seed at which a guest of the exchange fails, and shrinks
//! the failure.
//!
//! ```text
//! search (which trials) -> Pool (threads) -> TrialRunner (runs them) -> shrink -> a recorded run -> Outcome
//! ```

mod config;
mod merge;
mod outcome;
mod pool;
mod progress;
mod reach;
mod runner;
mod search;
mod shrink;
mod start;
mod tree;
mod trial;
mod verdict;

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use config::ExploreConfig;
pub use merge::merge;
pub use pool::threads;
pub use search::Capacities;
pub use trial::Trial;

use crate::{
    lab::{error::Error, exchange::Vms, needs::Needs, recorder::Recorder, session::Session, vm::Platform},
    output,
    process::{
        jail::Jail,
        output_file::{Named, OutputFile, check_distinct},
    },
    runlog::{
        sink::Silence,
        verdict::{Searched, Shard},
    },
};
use outcome::{Failure, Moved};
use pool::{Account, Pool};
use progress::Progress;
use reach::{Exchanges, are_fixed};
use runner::TrialRunner;
use search::{Short, Space};
use shrink::shrink;
use tree::Tree;
use trial::FailedTrial;
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
    if config.items.is_some() && !are_fixed(config.guests.orders) {
        return Err(Error::Usage(
            "--items visits all states of an exchange, and guests that choose their numbers of items have no end of states: give them with --produce N and --consume N".into(),
        ));
    }
    let count = config.guests.vms();
    let space =
        Space { capacities: config.capacities, vms: count, seed: config.seed, orders: config.guests.orders };
    let short = space.short(config.depth).ok_or_else(|| {
        Error::Usage(format!(
            "--depth {}: so many schedules of {count} VMs are beyond counting",
            config.depth
        ))
    })?;
    let ordered = space.ordered(short);
    check_distinct(config.guests.images(), [Named::new("--record", &config.recording)].into())?;
    let vms = Vms::open(system, &config.guests)?;
    verdict::report_search(config, &vms, short.runs(), ordered.map_or(0, |ordered| ordered.runs()))?;

    // The recording is opened before the search, so that a bad path does not lose a result.
    let (recording, file) = begin_recording(config)?;
    let config = &ExploreConfig { recording, ..config.clone() };

    let needs = Needs { explores: true, ..Needs::default() }.on(vms.engine());
    let new_runner = || {
        let session = Session::start(&config.limits, jail, needs, silence())?;
        TrialRunner::new(system, &vms, session)
    };
    let pool = Pool::new(new_runner)?;
    let mut runner = new_runner()?;
    if config.items.is_some() && !runner.can_return() {
        return Err(Error::Usage(
            "--items needs an engine that returns to states, which is the interpreter: --engine soft".into(),
        ));
    }
    runner.confine()?;
    let progress = Progress::new(config.quiet);
    let began = Instant::now();
    let mut searched = Searched { short: 0, of: short.runs(), ordered: 0, random: 0 };
    let mut account = Account::default();
    let parts = Parts { space, short, ordered };
    let found = match search(&pool, config, &parts, &mut searched, &mut account, &progress)? {
        Some(first) => Some(shrink_and_record(&mut runner, config, file, first, &mut account, &progress)?),
        None => None,
    };
    let threads = pool.count();
    drop((progress, pool, runner));
    let time = began.elapsed();
    // No guest runs any more, so a signal ends the program at once from here on.
    let moved = Moved::new(&vms, &account);
    // After a failure the search is incomplete, so that it proves little about chance.
    let findings = if found.is_some() { Vec::new() } else { moved.findings.clone() };
    let outcome = Outcome {
        config,
        vms: &vms,
        searched,
        account: &account,
        threads,
        time,
        moved,
        found: found.as_ref(),
    };
    let printed = outcome.print();
    match found {
        // The failure of a guest is more important than that of the output.
        Some(Failure { error, repeats: true, .. }) => Err(Error::Guest(error)),
        Some(Failure { error, repeats: false, .. }) => Err(Error::Unrepeatable(error)),
        None if findings.is_empty() => printed,
        None => Err(Error::Findings(findings)),
    }
}

/// Returns a sink for the output of trials.
fn silence() -> &'static mut Silence {
    // It has no size, so that nothing is lost.
    Box::leak(Box::new(Silence))
}

/// The parts of a search.
struct Parts {
    space: Space,
    short: Short,
    ordered: Option<Short>,
}

/// Runs trials until one fails or the search is over. Returns the failed trial, up to its last turn.
fn search(
    pool: &Pool<'_>,
    config: &ExploreConfig,
    Parts { space, short, ordered }: &Parts,
    searched: &mut Searched,
    account: &mut Account,
    progress: &Progress,
) -> Result<Option<FailedTrial>, Error> {
    if let Some(items) = config.items {
        return visit(pool, config, *space, items, account, progress);
    }
    let schedules = format!("every schedule of {} turns", config.depth);
    let with_orders = format!("{schedules} with fixed numbers of items");
    let parts = [
        (Some(short), &schedules, &mut searched.short),
        (ordered.as_ref(), &with_orders, &mut searched.ordered),
    ];
    for (part, name, made) in parts {
        let Some(part) = part else { continue };
        progress.begin(Some(part.runs()), name);
        let before = account.cost.runs;
        let numbers = own(config.shard, part.trees());
        let walk = |runner: &mut TrialRunner<'_>, index| runner.walk(&part.tree(index));
        let failure = pool.first_failure(numbers, walk, None, account, progress)?;
        *made = account.cost.runs - before;
        if failure.is_some() {
            return Ok(failure);
        }
    }
    progress.begin(config.runs, "random schedules");
    let until = config.until();
    let runs = config.runs.unwrap_or(u64::MAX);
    let branches = search::BRANCHES as u64;
    let walk = |runner: &mut TrialRunner<'_>, index: u64| {
        let left = usize::try_from(runs - index * branches).unwrap_or(usize::MAX);
        runner.walk(&space.random(index, left))
    };
    let before = account.cost.runs;
    let numbers = own(config.shard, runs.div_ceil(branches));
    let failure = pool.first_failure(numbers, walk, until, account, progress)?;
    searched.random = account.cost.runs - before;
    Ok(failure)
}

/// Visits all states of the exchanges of each capacity, until one fails.
fn visit(
    pool: &Pool<'_>,
    config: &ExploreConfig,
    space: Space,
    items: u64,
    account: &mut Account,
    progress: &Progress,
) -> Result<Option<FailedTrial>, Error> {
    progress.begin(None, "exchanges to their ends");
    let (capacities, until) = (space.capacities.all(), config.until());
    let walk = |runner: &mut TrialRunner<'_>, index: u64| {
        let capacity = capacities[usize::try_from(index).unwrap_or(0)];
        let exchanges = Exchanges { capacity, seed: space.seed, orders: space.orders, items, until };
        exchanges.walk(runner)
    };
    pool.first_failure(own(config.shard, capacities.len() as u64), walk, None, account, progress)
}

/// Returns the numbers below a count that belong to a part of the search.
fn own(shard: Option<Shard>, count: u64) -> impl Iterator<Item = u64> {
    let Shard { number, of } = shard.unwrap_or(Shard { number: 1, of: 1 });
    let step = usize::try_from(of).unwrap_or(usize::MAX);
    (number - 1..count).step_by(step)
}

/// Shrinks a failure, and records a run that shows it.
fn shrink_and_record(
    runner: &mut TrialRunner<'_>,
    config: &ExploreConfig,
    file: OutputFile,
    first: FailedTrial,
    account: &mut Account,
    progress: &Progress,
) -> Result<Failure, Error> {
    progress.begin(None, "shrinking what was found");
    let before = account.cost.runs;
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
        progress.add(1);
        let walked = runner.walk(&Tree::of(trial))?;
        account.cost.add(&walked.cost);
        let fails = walked.failure.is_some();
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
        in_runs: account.cost.runs - before,
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
