//! The configuration of a search among interrupts.

use std::time::Duration;

use guest_abi::mode::CpuMode;

use crate::lab::{exchange::source::Source, limits::Limits};

/// The configuration of a search among interrupts.
#[derive(Clone, Debug)]
pub struct InterruptsConfig {
    /// The guest, or an image of tests.
    pub source: Source,
    /// The guest's mode, if the user gave one.
    pub mode: Option<CpuMode>,
    /// The guest's memory in bytes.
    pub memory: u32,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The limits of one run.
    pub limits: Limits,
    /// The time of the search.
    pub time: Duration,
    /// The number of pairs that are tried, if it is limited.
    pub pairs: Option<u64>,
}
