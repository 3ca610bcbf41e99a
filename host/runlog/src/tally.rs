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
pub(crate) struct Tally {
    turns: Vec<Entry>,
}

/// A turn of the VM's, with the counts after it; the number of its turns is the entry's place.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The turn's number, from 1.
    turn: u32,
    items: u32,
    exits: u64,
}

impl Tally {
    /// Enters the VM's next turn.
    pub(crate) fn enter(&mut self, turn: usize, items: usize, exits: u64) {
        let before = self.turns.last().copied().unwrap_or_default();
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.turns.push(Entry {
            turn: number(turn),
            items: before.items.saturating_add(number(items)),
            // Where the numbers are a file's, their sum may be anything.
            exits: before.exits.saturating_add(exits),
        });
    }

    /// What it had done after the run's first `turns` turns.
    pub(crate) fn after(&self, turns: usize) -> Counts {
        let own = self.turns.partition_point(|entry| entry.turn as usize <= turns);
        let last = own.checked_sub(1).map(|last| self.turns[last]);
        last.map_or(Counts::default(), |Entry { items, exits, .. }| Counts {
            turns: own,
            items: items as usize,
            exits,
        })
    }
}
