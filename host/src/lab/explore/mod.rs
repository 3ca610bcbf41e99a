//! The explorer: looks for a schedule, a capacity and a seed at which a guest of the exchange fails,
//! and shrinks what it finds.
//!
//! ```text
//! search (which trials) -> Lab (runs them on KVM) -> shrink -> a recorded run -> Verdict
//! ```

mod search;
mod shrink;
mod trial;
mod verdict;

use std::{
    collections::{BTreeMap, HashSet},
    fmt, fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;

pub use search::Capacities;
pub use trial::Trial;

use crate::{
    kvm::System,
    lab::{
        error::{Error, GuestError},
        exchange::{self, Cast},
        limits::Limits,
        observe::Observe,
        recorder::Recorder,
        schedule,
        session::Session,
    },
    output::{self, Form, Silence},
    process::{
        jail::{Jail, Needs},
        output_file::{Named, OutputFile, check_distinct},
    },
    runlog::{
        conduct::Record,
        event::{Finding, Guest},
    },
};
use search::{Short, Space};
use shrink::{Shrunk, shrink};
use trial::{Effort, Failure, Lab};
use verdict::Verdict;

/// How long a failure is shrunk at most.
const SHRINKING: Duration = Duration::from_secs(45);

/// How many searches for the same guests can record at once.
const MOST_SEARCHES: u32 = 100;

/// What to explore.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who takes part.
    pub guests: exchange::Guests,
    /// The first seed.
    pub seed: u64,
    /// What a trial may take.
    pub limits: Limits,
    /// The length of the schedules that are all tried.
    pub depth: u32,
    /// How long random schedules are tried, where that is what ends them.
    pub time: Option<Duration>,
    /// How many random schedules are tried, where that is what ends them.
    pub runs: Option<u64>,
    /// The capacities that are tried.
    pub capacities: Capacities,
    /// The options of `run` that make the guests what they are, for the command that repeats a failure.
    pub options: Vec<String>,
    /// Where a failure is recorded.
    pub recording: PathBuf,
    /// Whether it may be recorded in a file of a similar name, because nobody asked for this one.
    pub renames_recording: bool,
    /// The form of the verdict.
    pub form: Form,
    /// Whether progress is not shown.
    pub quiet: bool,
}

/// Explores, and says what came of it.
///
/// # Errors
///
/// [`Error::Guest`] if a guest fails, once that has been shrunk and recorded; [`Error::Findings`] if none does,
/// and one leaves nothing to chance. Otherwise it is not the guests that failed.
pub fn run(system: &System, jail: &Jail, plan: &Plan) -> Result<(), Error> {
    let vms = plan.guests.vms();
    let space = Space { capacities: plan.capacities, vms, seed: plan.seed, orders: plan.guests.orders };
    let short = space.short(plan.depth).zip(space.ordered(plan.depth));
    let (short, ordered) = short.ok_or_else(|| {
        Error::Usage(format!("--depth {}: so many schedules of {vms} VMs are beyond counting", plan.depth))
    })?;
    check_distinct(plan.guests.images(), [Named::new("--record", &plan.recording)].into())?;
    let cast = Cast::open(system, &plan.guests)?;
    let mut searched = Searched { short: 0, of: short.len(), ordered: 0, random: 0 };
    verdict::announce(plan, &cast, short.len(), ordered.len() as u64)?;

    // Before the search: nobody likes to lose what came of it.
    let (recording, file) = begin_recording(plan)?;
    let plan = &Plan { recording, ..plan.clone() };

    let mut silence = Silence;
    let needs = Needs { explores: true, ..Needs::default() };
    let session = Session::start(&plan.limits, jail, needs, &mut silence)?;
    let mut lab = Lab::new(system, &cast, session)?;
    let progress = Progress::new(plan.quiet);
    let began = Instant::now();
    let found = match search(&mut lab, plan, space, short, ordered, &mut searched, &progress)? {
        Some(first) => Some(pin_down(&mut lab, plan, file, first, &progress)?),
        None => None,
    };
    drop(progress);
    let spent = Spent { effort: lab.effort(), time: began.elapsed() };
    // Nothing runs any more: a signal now ends the program at once.
    let moved = Moved::new(&cast, &lab.into_records());
    // After a failure the search is not over, so that it says little about chance.
    let findings = if found.is_some() { Vec::new() } else { moved.findings.clone() };
    let told = Verdict { plan, cast: &cast, searched, spent, moved, found: found.as_ref() }.print();
    match found {
        // An output that cannot be written is no reason to forget that a guest failed.
        Some(Found { error, repeats: true, .. }) => Err(Error::Guest(error)),
        Some(Found { error, repeats: false, .. }) => Err(Error::Unrepeatable(error)),
        None if findings.is_empty() => told,
        None => Err(Error::Findings(findings)),
    }
}

/// Makes trials until one fails, which is returned up to where it did, or the search is over.
fn search(
    lab: &mut Lab<'_>,
    plan: &Plan,
    space: Space,
    short: Short,
    ordered: impl ExactSizeIterator<Item = Trial>,
    searched: &mut Searched,
    progress: &Progress,
) -> Result<Option<Failure>, Error> {
    let schedules = format!("every schedule of {} turns", plan.depth);
    progress.begin(Some(short.len()), &schedules);
    if let Some(failure) = first_failure(lab, short, &mut searched.short, progress)? {
        return Ok(Some(failure));
    }
    progress.begin(Some(ordered.len() as u64), &format!("{schedules} with fixed numbers of items"));
    if let Some(failure) = first_failure(lab, ordered, &mut searched.ordered, progress)? {
        return Ok(Some(failure));
    }
    progress.begin(plan.runs, "random schedules");
    let runs = plan.runs.map_or(usize::MAX, |runs| usize::try_from(runs).unwrap_or(usize::MAX));
    let until = plan.time.and_then(|time| Instant::now().checked_add(time));
    let in_time = |_: &Trial| until.is_none_or(|until| Instant::now() < until);
    let random = space.random().take(runs).take_while(in_time);
    first_failure(lab, random, &mut searched.random, progress)
}

/// Makes these trials until one fails; `made` counts them.
fn first_failure(
    lab: &mut Lab<'_>,
    trials: impl Iterator<Item = Trial>,
    made: &mut u64,
    progress: &Progress,
) -> Result<Option<Failure>, Error> {
    for trial in trials {
        *made += 1;
        if let Some(failure) = lab.fails(&trial)? {
            return Ok(Some(failure));
        }
        progress.step();
    }
    Ok(None)
}

/// Shrinks a failure, and records a run that shows it.
fn pin_down(
    lab: &mut Lab<'_>,
    plan: &Plan,
    file: OutputFile,
    first: Failure,
    progress: &Progress,
) -> Result<Found, Error> {
    progress.begin(None, "shrinking what was found");
    let before = lab.effort().runs;
    let until = Instant::now() + SHRINKING;
    let mut passed = HashSet::new();
    let mut gave_up = false;
    let mut shrunk = shrink(first.trial.clone(), plan.guests.vms(), plan.guests.orders, |trial| {
        if passed.contains(trial) {
            return Ok(false);
        }
        if Instant::now() >= until {
            gave_up = true;
            return Ok(false);
        }
        progress.step();
        let fails = lab.fails(trial)?.is_some();
        if !fails {
            passed.insert(trial.clone());
        }
        Ok::<_, Error>(fails)
    })?;
    shrunk.shortest &= !gave_up;
    let mut found = Found {
        first: first.trial,
        after: before,
        shrunk,
        gave_up,
        in_runs: lab.effort().runs - before,
        repeats: true,
        error: first.error,
        recorded: true,
    };
    let exchange = exchange(plan, &found.shrunk.trial);
    let mut silence = Silence;
    let mut recorder = Recorder::new(&plan.recording, &exchange, &mut silence).through(file);
    match lab.run_again(&exchange, &mut recorder) {
        Err(Error::Guest(error)) => found.error = error,
        Ok(()) => found.repeats = false,
        // The recording's, of which it is told next.
        Err(Error::Output(_)) => {}
        Err(error) => return Err(error),
    }
    found.recorded = recorder.finish().inspect_err(|error| output::complain(&error.to_string())).is_ok();
    Ok(found)
}

/// Begins the recording, in its folder, which is made where it is missing. Returns its name as well.
fn begin_recording(plan: &Plan) -> Result<(PathBuf, OutputFile), Error> {
    let failed = |source| Error::Write { what: "recording", path: plan.recording.clone(), source };
    let folder = plan.recording.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    if !plan.renames_recording {
        let file = OutputFile::whole(&plan.recording).map_err(failed)?;
        return Ok((plan.recording.clone(), file));
    }
    // Another search that goes on has its own.
    let names = (2..=MOST_SEARCHES).map(|number| numbered(&plan.recording, number));
    for name in [plan.recording.clone()].into_iter().chain(names) {
        match OutputFile::alone(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => return Ok((name, outcome.map_err(failed)?)),
        }
    }
    Err(failed(io::ErrorKind::AlreadyExists.into()))
}

/// A file's name with a number in front of its end.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}."));
    name.push(path.extension().unwrap_or_default());
    path.with_file_name(name)
}

/// The run that a trial stands for.
fn exchange(plan: &Plan, trial: &Trial) -> exchange::Plan {
    let (schedule, turns) = schedule::of_turns(trial.schedule());
    exchange::Plan {
        guests: exchange::Guests { orders: trial.orders, ..plan.guests.clone() },
        schedule,
        turns,
        items: None,
        capacity: trial.capacity,
        seed: trial.seed,
        limits: plan.limits.clone(),
        stats: false,
        observe: Observe::Nobody,
    }
}

/// How far the search has come.
#[derive(Clone, Copy, Debug, Serialize)]
struct Searched {
    /// The number of trials with short schedules.
    short: u64,
    /// The number of all such trials that there are.
    of: u64,
    /// The number of trials with short schedules and fixed numbers of items.
    ordered: u64,
    /// The number of trials with random schedules.
    random: u64,
}

/// The items that guests moved in all trials.
struct Moved {
    /// By the number of the VM.
    items: BTreeMap<u32, u64>,
    findings: Vec<Finding>,
}

impl Moved {
    fn new(cast: &Cast, records: &[Record]) -> Self {
        let mut moved = Self { items: BTreeMap::new(), findings: Vec::new() };
        for (Guest { vm, name, role, .. }, record) in cast.guests().into_iter().zip(records) {
            moved.items.insert(vm, record.moved());
            moved.findings.extend(role.into_iter().flat_map(|role| Finding::all(vm, name, role, record)));
        }
        moved
    }
}

/// What it has cost.
#[derive(Clone, Copy, Debug)]
struct Spent {
    effort: Effort,
    time: Duration,
}

/// A failure that was found and shrunk.
struct Found {
    /// The trial that failed first, up to where it did.
    first: Trial,
    /// The number of trials up to that one.
    after: u64,
    shrunk: Shrunk,
    /// Whether shrinking was ended before it was done.
    gave_up: bool,
    /// The number of trials that shrinking took.
    in_runs: u64,
    /// Whether the same run fails again.
    repeats: bool,
    /// How the shrunk trial fails, or how the first did where that does not.
    error: Box<GuestError>,
    /// Whether there is a recording.
    recorded: bool,
}

/// A line on the terminal that says how far it is; nothing where standard error is no terminal.
struct Progress(ProgressBar);

impl Progress {
    fn new(quiet: bool) -> Self {
        Self(if quiet { ProgressBar::hidden() } else { ProgressBar::no_length() })
    }

    fn begin(&self, len: Option<u64>, what: &str) {
        let template = match len {
            Some(_) => "{msg}: {pos} of {len}, {rate} a second {wide_bar}",
            None => "{msg}: {pos} runs, {rate} a second",
        };
        let style = ProgressStyle::with_template(template).expect("it is one of the two above");
        let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
            // A text that does not take it is one that is not shown.
            let _ = write!(text, "{:.0}", state.per_sec());
        };
        self.0.set_style(style.with_key("rate", rate));
        self.0.reset();
        match len {
            Some(len) => self.0.set_length(len),
            None => self.0.unset_length(),
        }
        self.0.set_message(what.to_owned());
    }

    fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
