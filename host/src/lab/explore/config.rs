//! The configuration of `explore`.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{search::Capacities, trial::Trial};
use crate::{
    lab::{
        exchange::{ExchangeConfig, Guests},
        limits::Limits,
        schedule,
    },
    runlog::{sink::Form, verdict::Shard},
};

/// The configuration of `explore`.
#[derive(Clone, Debug)]
pub struct ExploreConfig {
    /// The guests.
    pub guests: Guests,
    /// The first seed.
    pub seed: u64,
    /// The limits of a trial.
    pub limits: Limits,
    /// The length up to which all schedules are tried.
    pub depth: u32,
    /// The time after which no more random schedules are tried, if any.
    pub time: Option<Duration>,
    /// The number of random schedules, if it is limited.
    pub runs: Option<u64>,
    /// The number of consumed items after which an exchange is over: then all states are visited, and no schedules are tried.
    pub items: Option<u64>,
    /// The part of the search that is made, if it is not the whole.
    pub shard: Option<Shard>,
    /// The capacities that are tried.
    pub capacities: Capacities,
    /// The options of `run` for the guests, for the command that repeats a failure.
    pub options: Vec<String>,
    /// The file for the recording of a failure.
    pub recording: PathBuf,
    /// True if the recording may get another name, because the user did not give this one.
    pub renames_recording: bool,
    /// The form of the verdict.
    pub form: Form,
    /// True if progress is not shown.
    pub quiet: bool,
}

impl ExploreConfig {
    /// Returns the time at which a part of the search that begins now is over.
    pub(super) fn until(&self) -> Option<Instant> {
        self.time.and_then(|time| Instant::now().checked_add(time))
    }

    /// Returns the configuration of the run that a trial describes.
    pub(super) fn exchange(&self, trial: &Trial) -> ExchangeConfig {
        let guests = Guests { orders: trial.orders, ..self.guests.clone() };
        let turns = schedule::of_turns(trial.schedule());
        ExchangeConfig::plain(guests, turns, trial.capacity, trial.seed, self.limits.clone())
    }
}
