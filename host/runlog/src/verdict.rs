//! The verdict of a search for failures, as one JSON object.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::{
    conduct::Record,
    event::{Crash, Finding, Guest},
};

/// The verdict of a search.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Always `verdict`.
    pub event: Cow<'static, str>,
    /// The experiment's name.
    pub experiment: Cow<'static, str>,
    /// `failed`, `finding` or `ok`.
    pub verdict: Cow<'static, str>,
    /// The engine, or the engines.
    #[serde(default)]
    pub engine: String,
    /// The host's ABI version.
    pub abi: String,
    /// The first seed.
    pub seed: u64,
    /// The length up to which all schedules were tried.
    pub depth: u32,
    /// The smallest and the largest capacity in items.
    pub capacities: [u32; 2],
    /// The guests, in the order of their VMs.
    pub guests: Vec<Guest>,
    /// The requested numbers of items of producers and consumers; null is any number.
    #[serde(default)]
    pub orders: [Option<u32>; 2],
    /// The part of the search, if it is one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The trials by kind.
    pub searched: Searched,
    /// The states of all exchanges up to a number of items, if they were visited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<States>,
    /// The number of trials.
    pub runs: u64,
    /// The number of their turns.
    pub turns: u64,
    /// The number of items that each VM moved in all trials.
    pub moved: BTreeMap<u32, u64>,
    /// The evidence of each VM's use of chance.
    #[serde(default)]
    pub records: BTreeMap<u32, Record>,
    /// The habits of guests that did not fail.
    pub findings: Vec<Finding>,
    /// The time of the search.
    pub seconds: f64,
    /// The number of threads that made it.
    #[serde(default = "one")]
    pub threads: u64,
    /// The time in guests, of all threads together.
    pub guest_seconds: f64,
    /// The number of trials per second.
    pub runs_per_second: f64,
    /// The failure, if a guest failed.
    pub failure: Option<Failure>,
}

fn one() -> u64 {
    1
}

/// A part of a search: number `number` of `of`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// The number of the part.
    pub number: u64,
    /// The number of parts.
    pub of: u64,
}

/// The states that exchanges can reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct States {
    /// The number of consumed items after which an exchange is over.
    pub items: u64,
    /// The states that were visited.
    #[serde(flatten)]
    pub reached: Reached,
}

/// States that were visited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Their number, each counted once.
    pub states: u64,
    /// The reason why these are not known to be all. Without one, they are: what holds in them holds for schedules of any
    /// length.
    pub stopped: Option<String>,
}

impl Reached {
    /// Adds the states of other exchanges.
    pub fn add(&mut self, other: &Self) {
        self.states += other.states;
        self.stopped = self.stopped.take().or_else(|| other.stopped.clone());
    }
}

/// The progress of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searched {
    /// The number of trials with short schedules.
    pub short: u64,
    /// The number of all possible trials of that kind.
    pub of: u64,
    /// The number of trials with short schedules and fixed numbers of items.
    pub ordered: u64,
    /// The number of trials with random schedules.
    pub random: u64,
}

/// A failure, after shrinking.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// The smallest trial that fails.
    #[serde(flatten)]
    pub trial: Trial,
    /// True if no shorter schedule fails with this capacity and seed.
    pub shortest: bool,
    /// The first trial that failed.
    pub first: Trial,
    /// Its number, from 1.
    pub found_in_run: u64,
    /// True if the same run fails again.
    pub repeatable: bool,
    /// The end of the guest.
    pub crash: Crash,
    /// The command that repeats the failure.
    pub command: String,
    /// The path of the recording, if it was written.
    pub recording: Option<String>,
}

/// A trial: everything that its outcome depends on, except the guests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The ring's capacity in items.
    pub capacity: u32,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The number of items that producers must add in each turn; null is any number.
    pub produce: Option<u32>,
    /// The number of items that consumers must take in each turn; null is any number.
    pub consume: Option<u32>,
    /// The VMs in the order of their turns.
    pub schedule: String,
}
