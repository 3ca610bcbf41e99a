//! Counters of each VM, known for any turn of a run without a pass over all turns.

/// The counters of a VM after a turn. Its boot is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of its turns.
    pub turns: usize,
    /// The number of items that it moved.
    pub items: usize,
    /// The number of exits in its turns.
    pub exits: u64,
}

/// The counters of one VM over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    turns: Vec<Entry>,
}

/// The counters after a turn of the VM. The number of its turns is the entry's index.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The turn's number, from 1.
    turn: u32,
    items: u32,
    exits: u64,
}

impl Counters {
    /// Adds the VM's next turn.
    pub(crate) fn enter(&mut self, turn: usize, items: usize, exits: u64) {
        let before = self.turns.last().copied().unwrap_or_default();
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.turns.push(Entry {
            turn: number(turn),
            items: before.items.saturating_add(number(items)),
            // Numbers of a file may have any sum.
            exits: before.exits.saturating_add(exits),
        });
    }

    /// The counters after the run's first `turns` turns.
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
