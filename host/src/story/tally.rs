//! What each VM did, counted: known for any time of a run without going through its turns.

/// What a VM did up to some time, its boot left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of turns that it had.
    pub turns: usize,
    /// The number of items that it moved.
    pub items: usize,
    /// The number of exits in its turns.
    pub exits: u64,
}

/// One VM's counts over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// The numbers of its turns, from 1, each with the counts after it.
    turns: Vec<(usize, Counts)>,
}

impl Tally {
    /// Enters the VM's next turn.
    pub(super) fn enter(&mut self, turn: usize, items: usize, exits: u64) {
        let before = self.turns.last().map_or(Counts::default(), |&(_, counts)| counts);
        let counts = Counts {
            turns: before.turns + 1,
            items: before.items + items,
            // Where the numbers are a file's, their sum may be anything.
            exits: before.exits.saturating_add(exits),
        };
        self.turns.push((turn, counts));
    }

    /// What it had done after the run's first `turns` turns.
    pub(super) fn after(&self, turns: usize) -> Counts {
        let own = self.turns.partition_point(|&(turn, _)| turn <= turns);
        own.checked_sub(1).map_or(Counts::default(), |last| self.turns[last].1)
    }
}
