//! Trees: trials that differ in their schedules only, so that a beginning that several share runs once.

use guest_abi::ring::Capacity;

use super::trial::Trial;
use crate::runlog::ring_check::Orders;

/// Trials of one capacity, seed and orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    /// The ring's capacity.
    pub(super) capacity: Capacity,
    /// The seed of all random numbers.
    pub(super) seed: u64,
    /// The number of items that each side must move in a turn.
    pub(super) orders: Orders,
    /// The schedules, in order: those with a common beginning are neighbours.
    pub(super) schedules: Vec<Vec<usize>>,
    /// The number of turns that each shares with the one before it.
    shared: Vec<usize>,
    /// The index of the schedule by which the guests' use of chance is judged. The others have the same random numbers.
    pub(super) recorded: usize,
}

impl Tree {
    /// Returns the tree of a trial and of others with these schedules. The trial's own is the recorded one, and the others
    /// are in any order.
    pub(super) fn new(trial: &Trial, others: impl IntoIterator<Item = Vec<usize>>) -> Self {
        let Trial { capacity, seed, orders, ref turns } = *trial;
        let mut schedules = vec![turns.clone()];
        schedules.extend(others);
        schedules.sort();
        let recorded = schedules.iter().position(|schedule| schedule == turns).unwrap_or(0);
        let shared = schedules.windows(2).map(|pair| common(&pair[0], &pair[1]));
        let shared = std::iter::once(0).chain(shared).collect();
        Self { capacity, seed, orders, schedules, shared, recorded }
    }

    /// Returns the tree of one trial.
    pub(super) fn of(trial: &Trial) -> Self {
        Self::new(trial, [])
    }

    /// Returns the trial of a schedule's first turns.
    pub(super) fn trial(&self, schedule: usize, turns: usize) -> Trial {
        let Self { capacity, seed, orders, ref schedules, .. } = *self;
        Trial { capacity, seed, orders, turns: schedules[schedule].iter().take(turns).copied().collect() }
    }

    /// Returns the number of turns that a schedule shares with the one before it.
    pub(super) fn shared(&self, schedule: usize) -> usize {
        self.shared[schedule]
    }

    /// Returns true if a later schedule leaves this one behind `depth` turns, and none before it leaves it earlier.
    pub(super) fn branches(&self, schedule: usize, depth: usize) -> bool {
        let mut shared = self.schedules[schedule].len();
        for later in &self.shared[schedule + 1..] {
            shared = shared.min(*later);
            if shared <= depth {
                return shared == depth;
            }
        }
        false
    }
}

/// Returns the number of first turns that two schedules have in common.
fn common(one: &[usize], other: &[usize]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_branches_where_a_later_schedule_leaves() {
        let capacity = Capacity::new(1).expect("1 to 64");
        let trial = Trial { capacity, seed: 1, orders: Orders::RANDOM, turns: vec![0, 1] };
        let tree = Tree::new(&trial, [vec![1; 4], vec![0, 0, 0], vec![1; 4], vec![0, 0, 1]]);
        assert_eq!(tree.recorded, 2);
        let branches = |schedule: usize| -> Vec<usize> {
            (0..=tree.schedules[schedule].len()).filter(|&depth| tree.branches(schedule, depth)).collect()
        };
        assert_eq!([0, 1, 2, 3, 4].map(branches), [vec![0, 1, 2], vec![0, 1], vec![0], vec![4], vec![]]);
        assert_eq!([0, 1, 2, 3, 4].map(|schedule| tree.shared(schedule)), [0, 2, 1, 0, 4]);
        assert_eq!(tree.trial(1, 2).turns, [0, 0]);
        assert_eq!(Tree::of(&tree.trial(2, 9)).schedules, [[0, 1]]);
    }
}
