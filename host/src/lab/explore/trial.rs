//! Trials: runs without output that show only whether a guest fails.

use guest_abi::ring::Capacity;

use crate::{
    lab::failure::GuestError,
    runlog::{recording::vm_name, ring_check::Orders},
};

/// A run to try: everything that its outcome depends on, except the guests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trial {
    /// The ring's capacity.
    pub capacity: Capacity,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The number of items that each side must move in a turn.
    pub orders: Orders,
    /// The VM of each turn, by its index.
    pub turns: Vec<usize>,
}

impl Trial {
    /// Returns the turns as a written schedule.
    pub fn schedule(&self) -> String {
        let name = |&vm: &usize| u32::try_from(vm + 1).ok().and_then(vm_name);
        self.turns.iter().filter_map(name).collect()
    }
}

/// A trial in which a guest failed.
pub(super) struct FailedTrial {
    /// The trial, up to the turn in which the guest failed.
    pub(super) trial: Trial,
    /// The failure.
    pub(super) error: Box<GuestError>,
}
