//! The items of a run and what became of them. They leave the ring in the order in which they came, so
//! that two numbers say all of a ring at any time: how many were made until then, and how many taken.

use guest_abi::{
    ring::{Capacity, Pointers},
    transition::Role,
};

use super::{Problem, line::Moved};

/// An item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its value.
    pub value: u32,
    /// The VM that made it.
    pub maker: u32,
    /// The turn in which that was, from 1.
    pub made: usize,
    /// The VM that took it, and the turn in which that was, from 1.
    pub taken: Option<(u32, usize)>,
}

/// The items, numbered from 0 in the order in which they were made, which is that in which they are taken.
#[derive(Clone, Debug, Default)]
pub struct Items {
    items: Vec<Item>,
    consumed: usize,
    largest: u32,
    /// After each turn: how many were made, how many taken.
    history: Vec<(usize, usize)>,
}

impl Items {
    /// Enters what turn number `turn`, from 0, of a VM moved; returns the ring's pointers after it.
    pub(super) fn turn(
        &mut self,
        turn: usize,
        vm: u32,
        role: Role,
        moved: &Moved,
        capacity: Capacity,
    ) -> Result<Pointers, Problem> {
        let pointers = self.check(role, moved, capacity)?;
        let number = turn + 1;
        self.largest = moved.items.iter().fold(self.largest, |largest, &value| largest.max(value));
        match role {
            Role::Producer => self.items.extend(moved.items.iter().map(|&value| Item {
                value,
                maker: vm,
                made: number,
                taken: None,
            })),
            Role::Consumer => {
                let taken = &mut self.items[self.consumed..][..moved.items.len()];
                taken.iter_mut().for_each(|item| item.taken = Some((vm, number)));
                self.consumed += moved.items.len();
            }
        }
        self.history.push((self.produced(), self.consumed));
        Ok(pointers)
    }

    /// Whether a turn can have moved this: the items, and where the ring stands then.
    fn check(&self, role: Role, moved: &Moved, capacity: Capacity) -> Result<Pointers, Problem> {
        let (mut produced, mut consumed, len) = (self.produced(), self.consumed, moved.items.len());
        if moved.role != role.name() {
            return Err(Problem::Contradiction("the role of the turn's VM"));
        }
        match role {
            Role::Producer => produced += len,
            Role::Consumer => {
                let front = self.items[consumed..].iter().map(|item| &item.value);
                if len > produced - consumed || !front.zip(&moved.items).all(|(item, taken)| item == taken) {
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

    /// All of them, in order.
    pub fn as_slice(&self) -> &[Item] {
        &self.items
    }

    /// The largest value.
    pub fn largest(&self) -> u32 {
        self.largest
    }

    /// How many were made.
    pub fn produced(&self) -> usize {
        self.items.len()
    }

    /// How many were taken.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// How many were made in the first `turns` turns.
    pub fn produced_after(&self, turns: usize) -> usize {
        self.after(turns).0
    }

    /// How many were taken in the first `turns` turns.
    pub fn consumed_after(&self, turns: usize) -> usize {
        self.after(turns).1
    }

    fn after(&self, turns: usize) -> (usize, usize) {
        match turns.min(self.history.len()) {
            0 => (0, 0),
            turns => self.history[turns - 1],
        }
    }
}
