//! The trials: first every short schedule, then random ones. The same seed gives the same trials.
//!
//! A side that may move any number of items also gets fixed quotas: in a second pass over the short schedules, and in
//! every other random one. Only these trials find a guest that ignores its quota.

use std::ops::RangeInclusive;

use guest_abi::{
    mailbox::Quota,
    ring::{Capacity, MAX_CAPACITY},
};

use super::trial::Trial;
use crate::{runlog::ring_check::Orders, vmm::random::SplitMix64};

/// The length limit of a random schedule.
const LONGEST: usize = 64;

/// The stream of the random numbers. The streams of VMs have lower numbers (see [`SplitMix64::new`]).
const STREAM: u64 = 1 << 32;

/// The first of two streams of the random numbers for quotas.
const ORDERS: u64 = STREAM + 1;

/// Capacities, from the smallest to the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    smallest: Capacity,
    largest: Capacity,
}

impl Capacities {
    /// Returns the capacities in a range of items, or `None` if the range is not valid.
    pub fn new(items: &RangeInclusive<u32>) -> Option<Self> {
        let (smallest, largest) = (Capacity::new(*items.start())?, Capacity::new(*items.end())?);
        (!items.is_empty()).then_some(Self { smallest, largest })
    }

    /// Returns the number of capacities.
    fn len(self) -> u32 {
        self.largest.items() - self.smallest.items() + 1
    }

    /// Returns capacity number `index`, which must be below their number.
    fn get(self, index: u32) -> Capacity {
        Capacity::new(self.smallest.items() + index % self.len()).expect("between two capacities")
    }

    /// Returns the smallest and the largest capacity in items.
    pub fn items(self) -> (u32, u32) {
        (self.smallest.items(), self.largest.items())
    }
}

/// The space of trials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    /// The ring's capacities.
    pub(super) capacities: Capacities,
    /// The number of VMs.
    pub(super) vms: usize,
    /// The first seed.
    pub(super) seed: u64,
    /// The requested quotas. A side with a random quota also gets fixed ones.
    pub(super) orders: Orders,
}

impl Space {
    /// Returns every schedule of `depth` turns at every capacity, each with its own seed. They begin with every shorter
    /// schedule. Returns `None` if their number is too large.
    pub(super) fn short(self, depth: u32) -> Option<Short> {
        let schedules = u64::try_from(self.vms).ok()?.checked_pow(depth)?;
        let len = schedules.checked_mul(self.capacities.len().into())?;
        Some(Short { space: self, depth, indices: 0..len })
    }

    /// Returns the same schedules with fixed random quotas, or none if no side's quota is random.
    pub(super) fn ordered(self, depth: u32) -> Option<impl ExactSizeIterator<Item = Trial>> {
        let mut short = self.short(depth)?;
        let len = usize::try_from(short.len()).ok()?;
        let mut numbers = SplitMix64::new(self.seed, ORDERS);
        let trials = (0..if self.is_free() { len } else { 0 }).map(move |_| {
            let trial = short.next().expect("there are so many");
            let seed = trial.seed.wrapping_add(len as u64);
            Trial { seed, orders: self.draw_orders(trial.capacity, &mut numbers), ..trial }
        });
        Some(trials)
    }

    /// Returns true if a side may move any number of items.
    fn is_free(self) -> bool {
        [self.orders.produce, self.orders.consume].contains(&Quota::Random)
    }

    /// Returns fixed quotas for the sides with random ones. Numbers around the ring's capacity are frequent, because guests
    /// fail there, and so is 1, the usual quota.
    fn draw_orders(self, capacity: Capacity, numbers: &mut SplitMix64) -> Orders {
        let items = capacity.items();
        let mut draw = |asked| match asked {
            Quota::Items(items) => Quota::Items(items),
            Quota::Random => Quota::Items(match numbers.below(8) {
                0 => items - 1,
                1 => items,
                2 => (items + 1).min(MAX_CAPACITY),
                3 | 4 => 1,
                _ => u32::try_from(numbers.below(items as usize + 1)).unwrap_or(0),
            }),
        };
        Orders { produce: draw(self.orders.produce), consume: draw(self.orders.consume) }
    }

    /// Returns an endless sequence of random schedules, capacities and seeds.
    pub(super) fn random(self) -> impl Iterator<Item = Trial> {
        let mut numbers = SplitMix64::new(self.seed, STREAM);
        let mut for_orders = SplitMix64::new(self.seed, ORDERS + 1);
        (0_u64..).map(move |index| {
            let trial = self.draw(&mut numbers);
            match index % 2 {
                0 => trial,
                _ => Trial { orders: self.draw_orders(trial.capacity, &mut for_orders), ..trial },
            }
        })
    }

    fn draw(self, numbers: &mut SplitMix64) -> Trial {
        let mut below = |bound: u32| u32::try_from(numbers.below(bound as usize)).unwrap_or(0);
        let capacity = self.capacities.get(below(self.capacities.len()));
        let seed = self.seed.wrapping_add(below(u32::MAX).into());
        // Fair turns rarely fill a large ring, and long bursts rarely turn it, so there are both.
        let stays = [0, 50, 80][numbers.below(3)];
        let len = 1 + numbers.below(LONGEST);
        let mut turns = vec![numbers.below(self.vms)];
        while turns.len() < len {
            let vm =
                if numbers.below(100) < stays { turns[turns.len() - 1] } else { numbers.below(self.vms) };
            turns.push(vm);
        }
        Trial { capacity, seed, orders: self.orders, turns }
    }
}

/// The trials of [`Space::short`].
pub(super) struct Short {
    space: Space,
    depth: u32,
    /// The numbers of the remaining trials.
    indices: std::ops::Range<u64>,
}

impl Short {
    /// Returns the number of remaining trials.
    pub(super) fn len(&self) -> u64 {
        self.indices.end - self.indices.start
    }
}

impl Iterator for Short {
    type Item = Trial;

    fn next(&mut self) -> Option<Trial> {
        let index = self.indices.next()?;
        // All capacities come before the next schedule, so that none is late.
        let capacities = u64::from(self.space.capacities.len());
        let capacity = u32::try_from(index % capacities).unwrap_or(0);
        Some(Trial {
            capacity: self.space.capacities.get(capacity),
            seed: self.space.seed.wrapping_add(index),
            orders: self.space.orders,
            turns: schedule_number(index / capacities, self.depth, self.space.vms),
        })
    }
}

/// Returns schedule number `index` of all with `len` turns, in lexicographic order.
pub(super) fn schedule_number(index: u64, len: u32, vms: usize) -> Vec<usize> {
    let vms = vms as u64;
    let digit = |place: u32| usize::try_from(index / vms.pow(place) % vms).expect("less than `vms`, a usize");
    (0..len).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn space(vms: usize) -> Space {
        let capacities = Capacities::new(&(2..=4)).expect("capacities");
        Space { capacities, vms, seed: 7, orders: Orders::RANDOM }
    }

    #[test]
    fn short_schedules_are_all_there_once_at_every_capacity() {
        for (vms, depth, expected) in [(2, 0, 3), (2, 3, 24), (3, 2, 27)] {
            let short = space(vms).short(depth).expect("countable");
            assert_eq!(short.len(), expected);
            let all: BTreeSet<(u32, String)> =
                short.map(|trial| (trial.capacity.items(), trial.schedule())).collect();
            assert_eq!(all.len() as u64, expected);
            assert!(
                all.iter()
                    .all(|(capacity, turns)| (2..=4).contains(capacity) && turns.len() == depth as usize)
            );
        }
        assert!(space(32).short(20).is_none());
    }

    #[test]
    fn random_trials_are_the_same_for_the_same_seed_and_reach_everything() {
        let trials: Vec<Trial> = space(3).random().take(1000).collect();
        assert!(space(3).random().take(1000).eq(trials.iter().cloned()));
        let capacities: BTreeSet<u32> = trials.iter().map(|trial| trial.capacity.items()).collect();
        assert!(capacities.into_iter().eq(2..=4));
        let lengths: BTreeSet<usize> = trials.iter().map(|trial| trial.turns.len()).collect();
        assert!(lengths.into_iter().eq(1..=LONGEST));
        assert!((0..3).all(|vm| trials.iter().any(|trial| trial.turns.contains(&vm))));
    }

    #[test]
    fn fixed_orders_are_tried_with_every_short_schedule_and_every_other_random_one() {
        let ordered: Vec<Trial> = space(2).ordered(3).expect("countable").collect();
        let short: Vec<Trial> = space(2).short(3).expect("countable").collect();
        assert!(space(2).ordered(3).expect("countable").eq(ordered.iter().cloned()));
        let key = |trial: &Trial| (trial.capacity, trial.schedule());
        assert!(ordered.iter().map(key).eq(short.iter().map(key)));
        let seeds: BTreeSet<u64> = short.iter().chain(&ordered).map(|trial| trial.seed).collect();
        assert_eq!(seeds.len(), 48);
        let orders = |trial: &Trial| [trial.orders.produce, trial.orders.consume];
        assert!(ordered.iter().all(|trial| !orders(trial).contains(&Quota::Random)));
        let random: Vec<Trial> = space(2).random().take(1000).collect();
        for (index, trial) in random.iter().enumerate() {
            assert_eq!(orders(trial).contains(&Quota::Random), index % 2 == 0, "{trial:?}");
        }
        // From none to more than the ring holds, at every capacity.
        for capacity in 2..=4 {
            let here = random.iter().filter(|trial| trial.capacity.items() == capacity).flat_map(orders);
            let items: BTreeSet<u32> = here
                .filter_map(|quota| match quota {
                    Quota::Items(items) => Some(items),
                    Quota::Random => None,
                })
                .collect();
            assert!(items.into_iter().eq(0..=capacity + 1));
        }
    }

    #[test]
    fn orders_that_were_asked_for_stay() {
        let one = Orders { produce: Quota::Items(1), consume: Quota::Random };
        let both = Orders { produce: Quota::Items(1), consume: Quota::Items(2) };
        let one = Space { orders: one, ..space(2) };
        assert!(one.random().take(100).all(|trial| trial.orders.produce == Quota::Items(1)));
        assert_eq!(one.ordered(3).expect("countable").len(), 24);
        let both = Space { orders: both, ..space(2) };
        assert!(both.random().take(100).all(|trial| trial.orders == both.orders));
        assert_eq!(both.ordered(3).expect("countable").len(), 0);
    }

    #[test]
    fn capacities_are_a_range_of_1_to_64() {
        assert_eq!(Capacities::new(&(1..=64)).map(Capacities::items), Some((1, 64)));
        #[expect(clippy::reversed_empty_ranges, reason = "it is what is to be refused")]
        let reversed = 3..=2;
        for range in [0..=3, 60..=65, reversed] {
            assert_eq!(Capacities::new(&range), None);
        }
    }
}
