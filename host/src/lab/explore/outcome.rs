//! The outcome of a search.

use std::collections::BTreeMap;

use super::{shrink::Shrunk, trial::Trial};
use crate::{
    lab::{exchange::Vms, failure::GuestError},
    runlog::{
        conduct::{Record, Weight},
        event::{Finding, Guest},
    },
};

/// The number of items that guests moved in all trials.
pub(super) struct Moved {
    /// By the number of the VM.
    pub(super) items: BTreeMap<u32, u64>,
    pub(super) findings: Vec<Finding>,
}

impl Moved {
    pub(super) fn new(vms: &Vms, records: &[Record]) -> Self {
        let mut moved = Self { items: BTreeMap::new(), findings: Vec::new() };
        for (Guest { vm, name, role, .. }, record) in vms.guests().into_iter().zip(records) {
            moved.items.insert(vm, record.moved());
            let findings = |role| Finding::all(vm, &name, role, record, Weight::Failure);
            moved.findings.extend(role.into_iter().flat_map(findings));
        }
        moved
    }
}

/// A failure of a guest, after shrinking.
pub(super) struct Failure {
    /// The first trial that failed, up to its last turn.
    pub(super) first: Trial,
    /// The number of trials up to that one.
    pub(super) after: u64,
    pub(super) shrunk: Shrunk,
    /// True if shrinking ran out of time.
    pub(super) gave_up: bool,
    /// The number of trials for shrinking.
    pub(super) in_runs: u64,
    /// True if the same run fails again.
    pub(super) repeats: bool,
    /// The error of the shrunk trial, or of the first one if the shrunk one does not fail.
    pub(super) error: Box<GuestError>,
    /// True if the recording was written.
    pub(super) recorded: bool,
}
