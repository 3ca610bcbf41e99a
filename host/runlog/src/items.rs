//! The items of a run. They leave the ring in the order in which they came. So two numbers describe the ring at any
//! time: how many items were made, and how many were taken.

use guest_abi::{
    ring::{Capacity, Pointers},
    transition::Role,
};

use crate::{error::Problem, event::Moved};

/// An item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its value.
    pub value: u32,
    /// The VM that made it.
    pub maker: u32,
    /// The turn in which it was made, from 1.
    pub made: usize,
    /// The VM that took it, and the turn of that, from 1.
    pub taken: Option<(u32, usize)>,
}

/// The items, numbered from 0 in the order in which they were made and taken.
///
/// A run may have millions of items. Only the values are stored, and for each turn the number of items made and taken
/// by then. All else is computed.
#[derive(Clone, Debug, Default)]
pub struct Items {
    values: Vec<u32>,
    consumed: usize,
    largest: u32,
    history: Vec<After>,
}

/// The state after a turn.
#[derive(Clone, Copy, Debug)]
struct After {
    /// The turn's VM.
    vm: u32,
    /// The number of items made.
    made: u32,
    /// The number of items taken.
    taken: u32,
}

impl Items {
    /// Adds the items that a VM moved in the next turn; returns the ring's pointers after it.
    pub(crate) fn turn(
        &mut self,
        vm: u32,
        role: Role,
        moved: &Moved<'_>,
        capacity: Capacity,
    ) -> Result<Pointers, Problem> {
        let pointers = self.check(role, moved, capacity)?;
        let (mut made, mut taken) = (self.values.len(), self.consumed);
        match role {
            Role::Producer => made += moved.items.len(),
            Role::Consumer => taken += moved.items.len(),
        }
        let after = After {
            vm,
            made: u32::try_from(made).map_err(|_| Problem::TooManyItems)?,
            taken: u32::try_from(taken).map_err(|_| Problem::TooManyItems)?,
        };
        self.history.push(after);
        self.largest = moved.items.iter().fold(self.largest, |largest, &value| largest.max(value));
        if role == Role::Producer {
            self.values.extend(&*moved.items);
        }
        self.consumed = taken;
        Ok(pointers)
    }

    /// Checks that a turn can have moved these items, and returns the ring's pointers after it.
    fn check(&self, role: Role, moved: &Moved<'_>, capacity: Capacity) -> Result<Pointers, Problem> {
        let (mut produced, mut consumed, len) = (self.produced(), self.consumed, moved.items.len());
        if moved.role != role {
            return Err(Problem::Contradiction("the role of the turn's VM"));
        }
        match role {
            Role::Producer => produced += len,
            Role::Consumer => {
                if !self.values[consumed..].starts_with(&moved.items) {
                    return Err(Problem::Contradiction("what was consumed is not what was produced"));
                }
                consumed += len;
            }
        }
        let slots = capacity.items() as usize;
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let pointers = Pointers {
            capacity: capacity.items(),
            prod_p: number(produced % slots),
            cons_p: number(consumed % slots),
            count: number(produced - consumed),
        };
        let claimed = Pointers {
            capacity: capacity.items(),
            prod_p: moved.prod_p,
            cons_p: moved.cons_p,
            count: moved.count,
        };
        match pointers == claimed && pointers.count <= capacity.items() {
            true => Ok(pointers),
            false => Err(Problem::Contradiction("the ring after the turn")),
        }
    }

    /// The values of all items, in order.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// An item.
    ///
    /// # Panics
    ///
    /// There is no item with that number.
    pub fn item(&self, number: usize) -> Item {
        let turn = |reached: fn(&After) -> u32| {
            let turn = self.history.partition_point(|after| reached(after) as usize <= number);
            self.history.get(turn).map(|after| (after.vm, turn + 1))
        };
        let value = self.values[number];
        let (maker, made) = turn(|after| after.made).unwrap_or_default();
        Item { value, maker, made, taken: turn(|after| after.taken) }
    }

    /// The largest value.
    pub fn largest(&self) -> u32 {
        self.largest
    }

    /// The number of items that were made.
    pub fn produced(&self) -> usize {
        self.values.len()
    }

    /// The number of items that were taken.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// The number of items that were made in the first `turns` turns.
    pub fn produced_after(&self, turns: usize) -> usize {
        self.after(turns).0
    }

    /// The number of items that were taken in the first `turns` turns.
    pub fn consumed_after(&self, turns: usize) -> usize {
        self.after(turns).1
    }

    fn after(&self, turns: usize) -> (usize, usize) {
        let last = turns.min(self.history.len()).checked_sub(1).map(|last| self.history[last]);
        last.map_or((0, 0), |After { made, taken, .. }| (made as usize, taken as usize))
    }
}
