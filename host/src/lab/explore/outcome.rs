//! The outcome of a search.

use std::collections::BTreeMap;

use super::{pool::Account, shrink::Shrunk, trial::Trial};
use crate::{
    lab::{exchange::Vms, failure::GuestError},
    runlog::{
        conduct::Weight,
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
    pub(super) fn new(vms: &Vms, Account { cost, records, .. }: &Account) -> Self {
        let mut moved = Self { items: BTreeMap::new(), findings: Vec::new() };
        let counted = records.iter().zip(&cost.moved);
        for (Guest { vm, name, role, .. }, (record, &items)) in vms.guests().into_iter().zip(counted) {
            moved.items.insert(vm, items);
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
