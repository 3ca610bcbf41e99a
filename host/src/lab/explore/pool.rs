//! The threads of a search, each with machines of its own. What they find does not depend on their number.

use std::{
    env,
    num::NonZero,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use rayon::{
    ThreadPool, ThreadPoolBuilder, current_thread_index,
    iter::{IntoParallelIterator, ParallelIterator},
};

use super::{
    progress::Progress,
    runner::{Cost, TrialRunner, Walked},
    trial::FailedTrial,
};
use crate::{
    lab::error::Error,
    runlog::{
        conduct::{Conduct, Record},
        verdict::Reached,
    },
};

/// The number of pieces of work between two looks at the time, for each thread.
const PIECES: usize = 16;

/// The threads, and their runners.
pub(super) struct Pool<'a> {
    threads: ThreadPool,
    runners: Vec<Mutex<TrialRunner<'a>>>,
}

/// The account of the trials that were made.
#[derive(Default)]
pub(super) struct Account {
    pub(super) cost: Cost,
    /// The states that were compared.
    pub(super) reached: Reached,
    /// The record of each VM, by one trial of each piece of work.
    pub(super) records: Vec<Record>,
}

impl Account {
    fn add(&mut self, walked: &Walked) {
        self.cost.add(&walked.cost);
        self.reached.add(&walked.reached);
        self.records.resize_with(self.records.len().max(walked.conduct.len()), Record::default);
        let conduct: &[Conduct] = &walked.conduct;
        self.records.iter_mut().zip(conduct).for_each(|(record, conduct)| record.add(conduct));
    }
}

/// Returns the number of threads of a search: one for each CPU of the machine, or as many as the variable
/// `RAYON_NUM_THREADS` says.
pub fn threads() -> usize {
    let given = env::var("RAYON_NUM_THREADS").ok().and_then(|threads| threads.parse().ok());
    let given = given.filter(|&threads| threads > 0);
    given.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get))
}

impl<'a> Pool<'a> {
    /// Starts the [threads](threads). `runner` makes the runner of each.
    ///
    /// # Errors
    ///
    /// A runner cannot be made, or the system did not start a thread.
    pub(super) fn new(runner: impl FnMut() -> Result<TrialRunner<'a>, Error>) -> Result<Self, Error> {
        let threads = ThreadPoolBuilder::new().num_threads(threads()).build().map_err(|error| Error::Os {
            what: "start the threads of the search",
            source: std::io::Error::other(error),
        })?;
        let runners = std::iter::repeat_with(runner).take(threads.current_num_threads());
        let runners = runners.map(|runner| runner.map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Self { threads, runners })
    }

    /// Returns the number of threads.
    pub(super) fn count(&self) -> u64 {
        self.runners.len() as u64
    }

    /// Does pieces of work, by their numbers, until a trial fails or the time is up. Returns the failure with the lowest
    /// number, whatever the number of threads is.
    ///
    /// # Errors
    ///
    /// Something other than a guest failed.
    pub(super) fn first_failure(
        &self,
        numbers: impl Iterator<Item = u64>,
        work: impl Fn(&mut TrialRunner<'a>, u64) -> Result<Walked, Error> + Sync,
        until: Option<Instant>,
        account: &mut Account,
        progress: &Progress,
    ) -> Result<Option<FailedTrial>, Error> {
        let mut numbers = numbers.peekable();
        let some = PIECES * self.runners.len();
        while numbers.peek().is_some() && until.is_none_or(|until| Instant::now() < until) {
            let numbers: Vec<u64> = numbers.by_ref().take(some).collect();
            for walked in self.work(&numbers, &work, progress)?.into_iter().flatten() {
                account.add(&walked);
                if walked.failure.is_some() {
                    return Ok(walked.failure);
                }
            }
        }
        Ok(None)
    }

    /// Does some pieces of work. Those behind one with a failure may be missing.
    fn work(
        &self,
        numbers: &[u64],
        work: &(impl Fn(&mut TrialRunner<'a>, u64) -> Result<Walked, Error> + Sync),
        progress: &Progress,
    ) -> Result<Vec<Option<Walked>>, Error> {
        let failed = AtomicU64::new(u64::MAX);
        let one = |&number: &u64| {
            if failed.load(Ordering::Relaxed) < number {
                return Ok(None);
            }
            let mut runner = self.runner();
            runner.confine()?;
            let walked = work(&mut runner, number)?;
            if walked.failure.is_some() {
                failed.fetch_min(number, Ordering::Relaxed);
            }
            progress.add(walked.cost.runs);
            Ok(Some(walked))
        };
        self.threads.install(|| numbers.into_par_iter().map(one).collect())
    }

    /// Returns the runner of this thread.
    fn runner(&self) -> MutexGuard<'_, TrialRunner<'a>> {
        let runner = &self.runners[current_thread_index().unwrap_or(0)];
        // A runner whose thread panicked starts its machines again.
        runner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
