//! The trials: first every short schedule, then random ones. The same seed gives the same trials, in the same trees.
//!
//! A side that may move any number of items also gets fixed quotas: in a second pass over the short schedules, and in
//! every other random one. Only these trials find a guest that ignores its quota.

use std::ops::RangeInclusive;

use guest_abi::{
    mailbox::Quota,
    ring::{Capacity, MAX_CAPACITY},
};

use super::{tree::Tree, trial::Trial};
use crate::{runlog::ring_check::Orders, vmm::random::SplitMix64};

/// The length limit of a random schedule.
const LONGEST: usize = 64;

/// The number of schedules in a tree of random ones, and the most turns of one that leaves the first.
pub(super) const BRANCHES: usize = 16;
const TWIG: usize = 8;

/// The most schedules in a tree of short ones. Most of what schedules have in common is in so few, and each tree has its
/// own seed.
const FEW: u64 = 8;

/// The streams of the random numbers, one for each tree: of random schedules, and of quotas for short ones. The streams of
/// VMs have lower numbers (see [`SplitMix64::new`]).
const STREAM: u64 = 1 << 63;
const ORDERS: u64 = 1 << 62;

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

    /// Returns all capacities.
    pub(super) fn all(self) -> Vec<Capacity> {
        (0..self.len()).map(|index| self.get(index)).collect()
    }

    /// Returns the smallest and the largest capacity in items.
    pub fn items(self) -> (u32, u32) {
        (self.smallest.items(), self.largest.items())
    }
}

/// The space of trials, in trees.
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
    /// Returns every schedule of `depth` turns at every capacity. They begin with every shorter schedule. Each tree has its
    /// own seed. Returns `None` if their number is too large.
    pub(super) fn short(self, depth: u32) -> Option<Short> {
        let vms = u64::try_from(self.vms).ok()?;
        let schedules = vms.checked_pow(depth)?;
        let runs = schedules.checked_mul(self.capacities.len().into())?;
        let few = |turns: &u32| vms.checked_pow(*turns).is_some_and(|schedules| schedules <= FEW);
        let own = (1..=depth).take_while(few).last().unwrap_or(depth.min(1));
        let trees = runs / vms.pow(own);
        Some(Short { space: self, prefix: depth - own, own, runs, trees, is_ordered: false })
    }

    /// Returns the same schedules with fixed random quotas, or `None` if no side's quota is random.
    pub(super) fn ordered(self, short: Short) -> Option<Short> {
        self.is_free().then_some(Short { is_ordered: true, ..short })
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

    /// Returns tree number `index` of an endless sequence with random capacities, seeds and schedules, at most `most` of
    /// them. A first schedule is random as a whole; the others leave it at random turns.
    pub(super) fn random(self, index: u64, most: usize) -> Tree {
        let mut numbers = SplitMix64::new(self.seed, STREAM + 1 + index);
        let mut below = |bound: u32| u32::try_from(numbers.below(bound as usize)).unwrap_or(0);
        let capacity = self.capacities.get(below(self.capacities.len()));
        let seed = self.seed.wrapping_add(below(u32::MAX).into());
        let orders = match index % 2 {
            0 => self.orders,
            _ => self.draw_orders(capacity, &mut numbers),
        };
        // Fair turns rarely fill a large ring, and long bursts rarely turn it, so there are both.
        let stays = [0, 50, 80][numbers.below(3)];
        let first = self.lengthen(&[], 1 + numbers.below(LONGEST), stays, &mut numbers);
        let others = (1..most.min(BRANCHES)).map(|_| {
            let kept = numbers.below(first.len() + 1);
            let len = (kept + 1 + numbers.below(TWIG)).min(LONGEST);
            self.lengthen(&first[..kept], len, stays, &mut numbers)
        });
        let others = others.collect::<Vec<_>>();
        Tree::new(&Trial { capacity, seed, orders, turns: first }, others)
    }

    /// Returns a schedule that begins as given and has `len` turns. The probability in percent that a turn is again the
    /// same VM's is `stays`, or more by chance.
    fn lengthen(self, start: &[usize], len: usize, stays: usize, numbers: &mut SplitMix64) -> Vec<usize> {
        let mut turns = start.to_vec();
        while turns.len() < len {
            let last = turns.last().copied().filter(|_| numbers.below(100) < stays);
            turns.push(last.unwrap_or_else(|| numbers.below(self.vms)));
        }
        turns
    }
}

/// The trees of [`Space::short`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    space: Space,
    /// The number of turns that all schedules of a tree share.
    prefix: u32,
    /// The number of turns in which they differ.
    own: u32,
    runs: u64,
    trees: u64,
    is_ordered: bool,
}

impl Short {
    /// Returns the number of trials.
    pub(super) fn runs(&self) -> u64 {
        self.runs
    }

    /// Returns the number of trees.
    pub(super) fn trees(&self) -> u64 {
        self.trees
    }

    /// Returns tree number `index`, which is below their number.
    pub(super) fn tree(&self, index: u64) -> Tree {
        let Self { space, prefix, own, trees, is_ordered, .. } = *self;
        // All capacities come before the next schedules, so that none is late.
        let capacities = u64::from(space.capacities.len());
        let capacity = space.capacities.get(u32::try_from(index % capacities).unwrap_or(0));
        let start = schedule_number(index / capacities, prefix, space.vms);
        let count = (space.vms as u64).pow(own);
        let schedule = |number| [&start[..], &schedule_number(number, own, space.vms)].concat();
        let number = if is_ordered { trees + index } else { index };
        let orders = match is_ordered {
            true => space.draw_orders(capacity, &mut SplitMix64::new(space.seed, ORDERS + index)),
            false => space.orders,
        };
        let recorded = index % count;
        let turns = schedule(recorded);
        let trial = Trial { capacity, seed: space.seed.wrapping_add(number), orders, turns };
        Tree::new(&trial, (0..count).filter(|&number| number != recorded).map(schedule))
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

    fn trees(short: Short) -> Vec<Tree> {
        (0..short.trees()).map(|index| short.tree(index)).collect()
    }

    fn random(space: Space, count: u64) -> Vec<Tree> {
        (0..count).map(|index| space.random(index, usize::MAX)).collect()
    }

    #[test]
    fn short_schedules_are_all_there_once_at_every_capacity() {
        for (vms, depth, expected) in
            [(2, 0, 3), (2, 1, 6), (2, 3, 24), (2, 5, 96), (3, 2, 27), (9, 1, 27), (9, 2, 243)]
        {
            let short = space(vms).short(depth).expect("countable");
            assert_eq!(short.runs(), expected);
            let trees = trees(short);
            let schedules = trees
                .iter()
                .flat_map(|tree| tree.schedules.iter().map(|turns| (tree.capacity.items(), turns.clone())));
            let all: Vec<_> = schedules.collect();
            assert_eq!(all.len() as u64, expected);
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
            assert!(
                all.iter()
                    .all(|(capacity, turns)| (2..=4).contains(capacity) && turns.len() == depth as usize)
            );
            let seeds: BTreeSet<u64> = trees.iter().map(|tree| tree.seed).collect();
            assert_eq!(seeds.len(), trees.len(), "each tree has its own seed");
        }
        assert!(space(32).short(20).is_none());
    }

    #[test]
    fn schedules_of_a_tree_are_in_order_so_that_equal_beginnings_are_neighbours() {
        let short = trees(space(2).short(5).expect("countable"));
        for tree in short.into_iter().chain(random(space(3), 100)) {
            assert!(tree.schedules.is_sorted() && tree.recorded < tree.schedules.len(), "{tree:?}");
        }
    }

    #[test]
    fn random_trees_are_the_same_for_the_same_seed_and_reach_everything() {
        let trees = random(space(3), 1000);
        assert_eq!(random(space(3), 1000), trees);
        let capacities: BTreeSet<u32> = trees.iter().map(|tree| tree.capacity.items()).collect();
        assert!(capacities.into_iter().eq(2..=4));
        let schedules = || trees.iter().flat_map(|tree| &tree.schedules);
        let lengths: BTreeSet<usize> = schedules().map(Vec::len).collect();
        assert!(lengths.into_iter().eq(1..=LONGEST));
        assert!((0..3).all(|vm| schedules().any(|turns| turns.contains(&vm))));
        assert!(trees.iter().all(|tree| tree.schedules.len() == BRANCHES));
        assert_eq!(space(3).random(5, 3).schedules.len(), 3, "no more than asked for");
    }

    #[test]
    fn fixed_orders_are_tried_with_every_short_schedule_and_every_other_random_tree() {
        let short = space(2).short(5).expect("countable");
        let (plain, ordered) = (trees(short), trees(space(2).ordered(short).expect("quotas are random")));
        assert!(plain.iter().map(|tree| &tree.schedules).eq(ordered.iter().map(|tree| &tree.schedules)));
        let seeds: BTreeSet<u64> = plain.iter().chain(&ordered).map(|tree| tree.seed).collect();
        assert_eq!(seeds.len(), plain.len() + ordered.len());
        let orders = |tree: &Tree| [tree.orders.produce, tree.orders.consume];
        assert!(ordered.iter().all(|tree| !orders(tree).contains(&Quota::Random)));
        let random = random(space(2), 1000);
        for (index, tree) in random.iter().enumerate() {
            assert_eq!(orders(tree).contains(&Quota::Random), index % 2 == 0, "{tree:?}");
        }
        // From none to more than the ring holds, at every capacity.
        for capacity in 2..=4 {
            let here = random.iter().filter(|tree| tree.capacity.items() == capacity).flat_map(orders);
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
        assert!(random(one, 100).iter().all(|tree| tree.orders.produce == Quota::Items(1)));
        assert!(one.ordered(one.short(3).expect("countable")).is_some());
        let both = Space { orders: both, ..space(2) };
        assert!(random(both, 100).iter().all(|tree| tree.orders == both.orders));
        assert!(both.ordered(both.short(3).expect("countable")).is_none());
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
