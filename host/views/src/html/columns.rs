//! The columns of a figure of turns: one for each turn, or one for several turns if there are too many.

use std::ops::RangeInclusive;

use super::number::{counted, float, grouped};
use guestlab_runlog::run_log::RunLog;

/// The largest number of turns that have a column each.
const MOST_EXACT: usize = 2000;

/// The largest number of cells of all VMs if turns share columns, and of columns.
const MOST_CELLS: usize = 3600;
const MOST_COLUMNS: usize = 600;

/// The columns of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    turns: usize,
    /// The number of turns in a column.
    pub(super) each: usize,
    /// True if an unfinished turn has a column after the others.
    pub(super) crashed: bool,
}

impl Columns {
    /// The columns of a run; `None` without turns.
    pub(super) fn of(log: &RunLog) -> Option<Self> {
        let turns = log.turns().len();
        let crashed = log.crash().is_some_and(|crash| crash.turn == Some(turns as u64 + 1));
        let vms = log.beginning().map_or(1, |run| run.guests.len()).max(1);
        let most = MOST_COLUMNS.min(MOST_CELLS / vms).max(1);
        let each = if turns <= MOST_EXACT { 1 } else { turns.div_ceil(most) };
        (turns > 0 || crashed).then_some(Self { turns, each, crashed })
    }

    /// Returns true if each turn has a column.
    pub(super) fn exact(&self) -> bool {
        self.each == 1
    }

    /// The number of columns of finished turns.
    pub(super) fn len(&self) -> usize {
        self.turns.div_ceil(self.each)
    }

    /// The number of all columns.
    pub(super) fn width(&self) -> usize {
        self.len() + usize::from(self.crashed)
    }

    /// The turns of a column, from 1.
    pub(super) fn turns(&self, column: usize) -> RangeInclusive<usize> {
        column * self.each + 1..=((column + 1) * self.each).min(self.turns)
    }

    /// The index of each column, and its turns.
    pub(super) fn iter(&self) -> impl Iterator<Item = (f64, RangeInclusive<usize>)> {
        (0..self.len()).map(|column| (float(column), self.turns(column)))
    }

    /// The space beside a column's bar. Few bars stand apart.
    pub(super) fn gap(&self) -> f64 {
        if self.width() <= 120 { 0.07 } else { 0.0 }
    }

    /// The class for the width of the columns.
    pub(super) fn class(&self) -> &'static str {
        match self.width() {
            0..=10 => "few",
            11..=24 => "some",
            25..=120 => "many",
            _ => "dense",
        }
    }

    /// The meaning of a column, in words.
    pub(super) fn sentence(&self) -> String {
        match self.exact() {
            true => format!("One column a turn, {}.", counted(self.turns as u64, "turn")),
            false => format!(
                "{}: too many to be told apart, so that a column stands for {} of them.",
                counted(self.turns as u64, "turn"),
                grouped(self.each as u64)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_is_in_one_column() {
        for (turns, each) in [(1, 1), (2000, 1), (2001, 4), (1_000_000, 1667)] {
            let columns = Columns { turns, each, crashed: false };
            let mut next = 1;
            for column in 0..columns.len() {
                assert_eq!(*columns.turns(column).start(), next);
                next = columns.turns(column).end() + 1;
            }
            assert_eq!(next, turns + 1);
        }
    }
}
