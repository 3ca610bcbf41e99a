//! The trace of an item, from the turn that made it to the turn that took it.

use guestlab_runlog::{items::Item, run_log::RunLog};

/// A followed item, and the shown end of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemTrace {
    /// The item's number.
    pub item: usize,
    end: TraceEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TraceEnd {
    Made,
    Taken,
}

impl ItemTrace {
    /// Returns the trace of the first item of this value that is in the ring after `step` steps, was moved in the last
    /// of them, or comes later; or else of the first of all.
    pub(super) fn of(value: u32, step: usize, log: &RunLog) -> Option<Self> {
        let items = log.items();
        let first = items.consumed_after(step.saturating_sub(1));
        let numbers = (first..items.produced()).chain(0..first);
        Self::first(numbers, value, log).map(Self::made)
    }

    /// The trace of an item, at the turn that made it.
    fn made(item: usize) -> Self {
        Self { item, end: TraceEnd::Made }
    }

    /// The trace of an item that a turn moved, at that turn.
    pub(super) fn seen(item: usize, turn: usize, log: &RunLog) -> Self {
        let taken = log.items().item(item).made != turn;
        Self { item, end: if taken { TraceEnd::Taken } else { TraceEnd::Made } }
    }

    /// Returns the next end: of this item, or the first of the next item of the same value. After the last comes the
    /// first.
    pub(super) fn next(self, log: &RunLog) -> Self {
        let Self { item, end } = self;
        match (end, self.item(log).taken) {
            (TraceEnd::Made, Some(_)) => Self { item, end: TraceEnd::Taken },
            _ => {
                let numbers = (item + 1..log.items().produced()).chain(0..=item);
                Self::made(Self::first(numbers, self.item(log).value, log).unwrap_or(item))
            }
        }
    }

    /// Returns the previous end.
    pub(super) fn previous(self, log: &RunLog) -> Self {
        let Self { item, end } = self;
        if end == TraceEnd::Taken {
            return Self::made(item);
        }
        let numbers = (0..item).rev().chain((item..log.items().produced()).rev());
        let item = Self::first(numbers, self.item(log).value, log).unwrap_or(item);
        let taken = log.items().item(item).taken.is_some();
        Self { item, end: if taken { TraceEnd::Taken } else { TraceEnd::Made } }
    }

    fn first(numbers: impl IntoIterator<Item = usize>, value: u32, log: &RunLog) -> Option<usize> {
        let values = log.items().values();
        numbers.into_iter().find(|&number| values[number] == value)
    }

    /// The item.
    pub fn item(self, log: &RunLog) -> Item {
        log.items().item(self.item)
    }

    /// The turn of the shown end.
    pub(super) fn turn(self, log: &RunLog) -> usize {
        match (self.end, self.item(log)) {
            (TraceEnd::Taken, Item { taken: Some((_, turn)), .. }) => turn,
            (_, item) => item.made,
        }
    }

    /// The item's place among those of the same value, from 1, and their number.
    pub(super) fn place(self, log: &RunLog) -> (usize, usize) {
        let values = log.items().values();
        let value = values[self.item];
        let count = |values: &[u32]| values.iter().filter(|other| **other == value).count();
        let before = count(&values[..=self.item]);
        (before, before + count(&values[self.item + 1..]))
    }
}
