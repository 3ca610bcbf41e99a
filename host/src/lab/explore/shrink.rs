//! Shrinking: from a failed trial to the smallest one that still fails.

use guest_abi::{mailbox::Quota, ring::Capacity, transition::Role};

use super::{search::schedule_number, trial::Trial};
use crate::runlog::ring_check::Orders;

/// The largest number of schedules that are tried to prove that none is shorter.
const MOST_SCHEDULES: u64 = 4096;

/// The number of seeds, from 0, that are tried with shorter schedules, and the largest number of such trials.
const SEEDS: u64 = 16;
const MOST_TRIALS: usize = 8192;

/// A trial after shrinking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shrunk {
    /// The trial. It fails only with all of its turns.
    pub(super) trial: Trial,
    /// True if every shorter schedule passed with this capacity and seed.
    pub(super) shortest: bool,
}

/// Shrinks a failed trial of `vms` VMs until nothing more can be removed: its turns, its capacity, its quotas if `asked`
/// has random ones, and its turns with another seed. Any failure counts, even if it differs from the first.
///
/// # Errors
///
/// `fails` returned an error.
pub(super) fn shrink<E>(
    mut trial: Trial,
    vms: usize,
    asked: Orders,
    mut fails: impl FnMut(&Trial) -> Result<bool, E>,
) -> Result<Shrunk, E> {
    loop {
        leave_out(&mut trial, &mut fails)?;
        let shortest = find_shorter(&mut trial, vms, &mut fails)?;
        if !lower_capacity(&mut trial, &mut fails)?
            && !lower_orders(&mut trial, asked, &mut fails)?
            && !change_seed(&mut trial, vms, &mut fails)?
        {
            return Ok(Shrunk { trial, shortest });
        }
    }
}

/// Removes turns, many at once and then one by one, until each is needed (Zeller and Hildebrandt,
/// "Simplifying and Isolating Failure-Inducing Input", 2002, without its tests of subsets).
fn leave_out<E>(trial: &mut Trial, fails: &mut impl FnMut(&Trial) -> Result<bool, E>) -> Result<(), E> {
    let mut chunk = trial.turns.len().div_ceil(2);
    while chunk > 0 {
        let mut start = 0;
        let before = trial.turns.len();
        while start < trial.turns.len() {
            let mut without = trial.clone();
            without.turns.drain(start..(start + chunk).min(trial.turns.len()));
            if fails(&without)? {
                *trial = without;
            } else {
                start += chunk;
            }
        }
        // A turn may become unnecessary when others are removed.
        if chunk > 1 || trial.turns.len() == before {
            chunk /= 2;
        }
    }
    Ok(())
}

/// Searches all shorter schedules, the shortest first. Returns true if the trial now has the shortest one, and false if
/// there are too many to know.
fn find_shorter<E>(
    trial: &mut Trial,
    vms: usize,
    fails: &mut impl FnMut(&Trial) -> Result<bool, E>,
) -> Result<bool, E> {
    let lengths = 0..u32::try_from(trial.turns.len()).unwrap_or(u32::MAX);
    for len in lengths {
        let schedules = (vms as u64).checked_pow(len).filter(|&schedules| schedules <= MOST_SCHEDULES);
        let Some(schedules) = schedules else { return Ok(false) };
        for index in 0..schedules {
            let shorter = Trial { turns: schedule_number(index, len, vms), ..trial.clone() };
            if fails(&shorter)? {
                *trial = shorter;
                return Ok(true);
            }
        }
    }
    Ok(true)
}

/// Takes the smallest capacity at which the same turns fail. Returns true if it changed.
fn lower_capacity<E>(
    trial: &mut Trial,
    fails: &mut impl FnMut(&Trial) -> Result<bool, E>,
) -> Result<bool, E> {
    for capacity in (1..trial.capacity.items()).filter_map(Capacity::new) {
        let lower = Trial { capacity, ..trial.clone() };
        if fails(&lower)? {
            *trial = lower;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes the smallest fixed quotas that fail, one side after the other. Returns true if one changed.
fn lower_orders<E>(
    trial: &mut Trial,
    asked: Orders,
    fails: &mut impl FnMut(&Trial) -> Result<bool, E>,
) -> Result<bool, E> {
    let mut lowered = false;
    for role in [Role::Producer, Role::Consumer] {
        let (Quota::Items(items), Quota::Random) = (trial.orders.of(role), asked.of(role)) else { continue };
        for fewer in 0..items {
            let orders = trial.orders.with(role, Quota::Items(fewer));
            let lower = Trial { orders, ..trial.clone() };
            if fails(&lower)? {
                *trial = lower;
                lowered = true;
                break;
            }
        }
    }
    Ok(lowered)
}

/// Searches a shorter schedule that fails with another seed, at this capacity or a smaller one, the shortest first.
/// Returns true if there is one.
fn change_seed<E>(
    trial: &mut Trial,
    vms: usize,
    fails: &mut impl FnMut(&Trial) -> Result<bool, E>,
) -> Result<bool, E> {
    let orders = trial.orders;
    let capacities: Vec<Capacity> = (1..=trial.capacity.items()).filter_map(Capacity::new).collect();
    let lengths = 1..u32::try_from(trial.turns.len()).unwrap_or(u32::MAX);
    let schedules = lengths.flat_map(|len| {
        let schedules = (vms as u64).saturating_pow(len);
        (0..schedules).map(move |index| schedule_number(index, len, vms))
    });
    let trials = schedules.flat_map(|turns| {
        let trials = capacities.iter().flat_map(|&capacity| (0..SEEDS).map(move |seed| (capacity, seed)));
        trials.map(move |(capacity, seed)| Trial { capacity, seed, orders, turns: turns.clone() })
    });
    for shorter in trials.take(MOST_TRIALS) {
        if fails(&shorter)? {
            *trial = shorter;
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn trial(turns: &[usize], capacity: u32) -> Trial {
        let capacity = Capacity::new(capacity).expect("1 to 64");
        Trial { capacity, seed: 1, orders: Orders::RANDOM, turns: turns.into() }
    }

    fn shrunk(trial: Trial, fails: impl Fn(&Trial) -> bool) -> Shrunk {
        let Ok(shrunk) = shrink(trial, 2, Orders::RANDOM, |trial| Ok::<_, Infallible>(fails(trial)));
        shrunk
    }

    /// Returns true if `turns` has the elements of `needle` in this order, perhaps with others between them.
    fn has(turns: &[usize], needle: &[usize]) -> bool {
        let mut turns = turns.iter();
        needle.iter().all(|wanted| turns.any(|turn| turn == wanted))
    }

    #[test]
    fn what_fails_at_once_needs_no_turns() {
        let shrunk = shrunk(trial(&[0, 1, 0], 6), |_| true);
        assert_eq!(shrunk, Shrunk { trial: trial(&[], 1), shortest: true });
    }

    #[test]
    fn a_shorter_schedule_is_found_where_leaving_out_does_not_lead() {
        // No turn of 1100 can be removed, and 01 is not a part of it.
        let fails = |trial: &Trial| trial.turns == [1, 1, 0, 0] || trial.turns == [0, 1];
        assert_eq!(shrunk(trial(&[1, 1, 0, 0], 1), fails).trial.turns, [0, 1]);
    }

    #[test]
    fn the_capacity_is_the_smallest_that_fails() {
        let fails = |trial: &Trial| trial.capacity.items() >= 5 && trial.turns.contains(&1);
        assert_eq!(shrunk(trial(&[0, 1], 64), fails).trial, trial(&[1], 5));
    }

    #[test]
    fn orders_are_the_smallest_that_fail_unless_they_were_asked_for() {
        let orders =
            |produce, consume| Orders { produce: Quota::Items(produce), consume: Quota::Items(consume) };
        let start = Trial { orders: orders(9, 9), ..trial(&[0, 1], 6) };
        let fails = |trial: &Trial| {
            let Orders { produce: Quota::Items(produce), consume: Quota::Items(consume) } = trial.orders
            else {
                return false;
            };
            has(&trial.turns, &[0, 1]) && produce > 2 && consume > 0
        };
        assert_eq!(shrunk(start.clone(), fails).trial.orders, orders(3, 1));
        let asked = Orders { produce: Quota::Items(9), consume: Quota::Random };
        let Ok(shrunk) = shrink(start, 2, asked, |trial| Ok::<_, Infallible>(fails(trial)));
        assert_eq!(shrunk.trial.orders, orders(9, 1));
    }

    #[test]
    fn another_seed_may_do_with_less() {
        let fails = |trial: &Trial| match trial.seed {
            9 => trial.turns == [0] && trial.capacity.items() == 1,
            _ => has(&trial.turns, &[0, 1, 0, 1]),
        };
        let shrunk = shrunk(trial(&[0, 1, 0, 1], 3), fails);
        assert_eq!(shrunk.trial, Trial { seed: 9, ..trial(&[0], 1) });
    }

    #[test]
    fn long_schedules_are_not_said_to_be_the_shortest() {
        let shrunk = shrunk(trial(&[0; 40], 1), |trial| trial.turns.len() >= 20);
        assert_eq!((shrunk.trial.turns.len(), shrunk.shortest), (20, false));
    }

    proptest! {
        /// Shrinking leaves exactly the pattern that fails.
        #[test]
        fn what_is_left_is_minimal(
            turns in proptest::collection::vec(0_usize..2, 0..60),
            needle in proptest::collection::vec(0_usize..2, 0..8),
        ) {
            let fails = |trial: &Trial| has(&trial.turns, &needle);
            let start = trial(&turns, 6);
            prop_assume!(fails(&start));
            prop_assert_eq!(shrunk(start, fails), Shrunk { trial: trial(&needle, 1), shortest: true });
        }
    }
}
