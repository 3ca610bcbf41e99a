//! The ring of items and its operations.
//!
//! [`Pointers`] hold the state of the ring. Host and guest have the same
//! pointers, which determine the slot of each operation. The host keeps the
//! slots in a [`Ring`]; a guest has them in its [mailbox](crate::mailbox).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The largest capacity of a ring, in items.
pub const MAX_CAPACITY: u32 = 64;

/// The slots of a ring. The ring uses only the first `capacity` of them.
pub type Slots = [u32; MAX_CAPACITY as usize];

/// A ring's capacity in items, 1 to [`MAX_CAPACITY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capacity(u32);

impl Capacity {
    /// The default capacity.
    pub const DEFAULT: Self = Self(6);

    /// Creates a capacity of `items`, or `None` if the number is out of range.
    pub const fn new(items: u32) -> Option<Self> {
        if 1 <= items && items <= MAX_CAPACITY { Some(Self(items)) } else { None }
    }

    /// Returns the capacity as a number of items.
    pub const fn items(self) -> u32 {
        self.0
    }
}

/// The state of a ring, without its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pointers {
    /// The number of slots in use, 1 to [`MAX_CAPACITY`].
    pub capacity: u32,
    /// The slot for the next produced item, 0 to `capacity` - 1.
    pub prod_p: u32,
    /// The slot of the next item to consume, 0 to `capacity` - 1.
    pub cons_p: u32,
    /// The number of items in the ring, 0 to `capacity`.
    pub count: u32,
}

impl Pointers {
    /// Returns the pointers of an empty ring.
    pub const fn empty(capacity: Capacity) -> Self {
        Self { capacity: capacity.items(), prod_p: 0, cons_p: 0, count: 0 }
    }

    /// Returns the number of items that can be pushed.
    pub const fn free(&self) -> u32 {
        self.capacity - self.count
    }

    /// Returns the slot after `slot`.
    const fn next(&self, slot: u32) -> u32 {
        if slot + 1 == self.capacity { 0 } else { slot + 1 }
    }

    /// Appends one item. Returns its slot, or `None` if the ring is full.
    pub const fn push(&mut self) -> Option<u32> {
        if self.count == self.capacity {
            return None;
        }
        let slot = self.prod_p;
        self.prod_p = self.next(slot);
        self.count += 1;
        Some(slot)
    }

    /// Takes one item from the front. Returns its slot, or `None` if the ring is empty.
    pub const fn take(&mut self) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let slot = self.cons_p;
        self.cons_p = self.next(slot);
        self.count -= 1;
        Some(slot)
    }
}

/// A ring: its pointers and its slots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ring {
    pointers: Pointers,
    slots: Slots,
}

impl Ring {
    /// Creates an empty ring.
    pub const fn new(capacity: Capacity) -> Self {
        Self { pointers: Pointers::empty(capacity), slots: [0; MAX_CAPACITY as usize] }
    }

    /// Returns the ring with these pointers and slots, or `None` if no ring can be so.
    pub fn of(pointers: Pointers, slots: Slots) -> Option<Self> {
        let Pointers { capacity, prod_p, cons_p, count } = pointers;
        Capacity::new(capacity)?;
        let is_sound = cons_p < capacity && count <= capacity && prod_p == (cons_p + count) % capacity;
        is_sound.then_some(Self { pointers, slots })
    }

    /// Returns the ring's pointers.
    pub const fn pointers(&self) -> Pointers {
        self.pointers
    }

    /// Returns all slots, including unused and free ones.
    pub const fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Appends an item.
    ///
    /// # Errors
    ///
    /// [`Full`] if no slot is free; the ring is unchanged.
    pub fn push(&mut self, item: u32) -> Result<(), Full> {
        let slot = self.pointers.push().ok_or(Full)?;
        self.slots[slot as usize] = item;
        Ok(())
    }

    /// Takes the item at the front, or `None` if the ring is empty.
    pub fn take(&mut self) -> Option<u32> {
        self.pointers.take().map(|slot| self.slots[slot as usize])
    }

    /// Returns each slot in use: its item, or `None` if the slot is free.
    pub fn view(&self) -> impl Iterator<Item = Option<u32>> {
        let Pointers { capacity, cons_p, count, .. } = self.pointers;
        (0..capacity).map(move |slot| {
            let place = if slot < cons_p { slot + capacity - cons_p } else { slot - cons_p };
            (place < count).then(|| self.slots[slot as usize])
        })
    }
}

/// The error for a ring without a free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{collections::VecDeque, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn capacities_are_1_to_64() {
        assert_eq!(Capacity::new(0), None);
        assert_eq!(Capacity::new(65), None);
        assert_eq!(Capacity::new(1).map(Capacity::items), Some(1));
        assert_eq!(Capacity::new(64).map(Capacity::items), Some(64));
    }

    /// Checks that a ring and a queue have the same items.
    fn assert_same(ring: &Ring, model: &VecDeque<u32>) {
        let Pointers { capacity, prod_p, cons_p, count } = ring.pointers();
        assert!(prod_p < capacity && cons_p < capacity && count <= capacity);
        assert_eq!((cons_p + count) % capacity, prod_p);
        assert_eq!(count as usize, model.len());
        assert_eq!(ring.pointers().free(), capacity - count);
        let from_front: Vec<u32> =
            (0..count).map(|i| ring.slots()[((cons_p + i) % capacity) as usize]).collect();
        assert!(from_front.iter().eq(model));
        assert_eq!(ring.view().flatten().count(), model.len());
        assert_eq!(ring.view().count(), capacity as usize);
    }

    /// Applies the operations (`Some`: push the item; `None`: take one) to a ring and to a queue.
    fn run_beside_a_queue(capacity: Capacity, operations: &[Option<u32>]) {
        let mut ring = Ring::new(capacity);
        let mut model = VecDeque::new();
        for operation in operations {
            match *operation {
                Some(item) if model.len() < capacity.items() as usize => {
                    assert_eq!(ring.push(item), Ok(()));
                    model.push_back(item);
                }
                Some(item) => assert_eq!(ring.push(item), Err(Full)),
                None => assert_eq!(ring.take(), model.pop_front()),
            }
            assert_same(&ring, &model);
        }
    }

    proptest! {
        /// Any sequence of pushes and takes, for every capacity from 1 to 64.
        #[test]
        fn a_ring_is_a_bounded_queue(
            operations in proptest::collection::vec(
                prop_oneof![3 => any::<u32>().prop_map(Some), 2 => Just(None)], 0..200),
        ) {
            for capacity in (1..=MAX_CAPACITY).filter_map(Capacity::new) {
                run_beside_a_queue(capacity, &operations);
            }
        }
    }
}
