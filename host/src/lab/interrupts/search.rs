//! The search: an interrupt at each place, then at pairs of places.

use std::time::Instant;

use super::{config::InterruptsConfig, subject::Ending, trial::Trials};
use crate::{lab::error::Error, vmm::random::SplitMix64};

/// The most places that are tried in their order. If there are more, they are tried at random.
const MOST_IN_ORDER: usize = 20_000;

/// The places at random that are tried in one pass.
const PART: usize = 2000;

/// The most second places that are tried for a first one before the next first one's turn comes.
const AT_ONCE: usize = 32;

/// The first of the streams of random numbers that this search uses. Machines have those below.
const STREAM: u64 = 1 << 40;

/// The extent of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Searched {
    /// The number of places where the interrupt can come.
    pub(super) places: usize,
    /// All places are known: the walk was not ended by the clock.
    pub(super) is_whole: bool,
    /// The number of places that were tried.
    pub(super) tried: usize,
    /// The number of different states at these.
    pub(super) states: u64,
    /// The number of pairs that were tried.
    pub(super) pairs: u64,
    /// These were all pairs.
    pub(super) all_pairs: bool,
}

/// What was found: the places of the interrupts, and the end.
pub(super) struct Found {
    pub(super) pauses: Vec<u64>,
    pub(super) ending: Ending,
}

/// Searches for places at which the interrupt makes a guest fail.
pub(super) fn search(
    trials: &mut Trials<'_, '_>,
    config: &InterruptsConfig,
) -> Result<(Searched, Option<Found>), Error> {
    let until = Instant::now().checked_add(config.time);
    let is_over = || until.is_some_and(|until| Instant::now() >= until);
    let mut random = SplitMix64::new(config.seed, STREAM);
    trials.restart();
    let (mut places, is_whole) = trials.places(&[], 0)?;
    let mut searched = Searched { places: places.len(), is_whole, ..Searched::default() };
    trials.restart();
    if places.len() > MOST_IN_ORDER {
        shuffle(&mut places, &mut random);
        // In each part the guest goes forwards.
        places.chunks_mut(PART).for_each(<[u64]>::sort_unstable);
    }
    for &at in &places {
        if is_over() {
            return Ok((searched, None));
        }
        searched.tried += 1;
        trials.go_to(&[], at)?;
        if !trials.is_new()? {
            continue;
        }
        searched.states += 1;
        let mut here = trials.keep()?;
        let ending = trials.run_with(&[at])?;
        if !matches!(ending, Ending::Good) {
            return Ok((searched, Some(Found { pauses: vec![at], ending })));
        }
        trials.return_to(&mut here);
    }
    shuffle(&mut places, &mut random);
    let found = pairs(trials, config, &places, is_over, &mut searched)?;
    Ok((searched, found))
}

/// Tries pairs. Each first place has some of its second ones tried before the next round.
fn pairs(
    trials: &mut Trials<'_, '_>,
    config: &InterruptsConfig,
    places: &[u64],
    is_over: impl Fn() -> bool,
    searched: &mut Searched,
) -> Result<Option<Found>, Error> {
    let most = config.pairs.unwrap_or(u64::MAX);
    for round in 0.. {
        let mut is_last = true;
        for &first in places {
            trials.go_to(&[], first)?;
            let mut here = trials.keep()?;
            let (mut seconds, is_whole) = trials.places(&[first], first)?;
            // The same order in each round.
            shuffle(&mut seconds, &mut SplitMix64::new(config.seed, STREAM + first));
            is_last &= is_whole && seconds.len() <= AT_ONCE * (round + 1);
            for &second in seconds.iter().skip(AT_ONCE * round).take(AT_ONCE) {
                if is_over() || searched.pairs >= most {
                    return Ok(None);
                }
                searched.pairs += 1;
                trials.return_to(&mut here);
                trials.go_to(&[first], second)?;
                if !trials.is_new()? {
                    continue;
                }
                let ending = trials.run_with(&[first, second])?;
                if !matches!(ending, Ending::Good) {
                    return Ok(Some(Found { pauses: vec![first, second], ending }));
                }
            }
            trials.return_to(&mut here);
            if is_over() {
                return Ok(None);
            }
        }
        if is_last {
            searched.all_pairs = searched.is_whole;
            return Ok(None);
        }
    }
    Ok(None)
}

fn shuffle(places: &mut [u64], random: &mut SplitMix64) {
    for last in (1..places.len()).rev() {
        places.swap(last, random.below(last + 1));
    }
}
