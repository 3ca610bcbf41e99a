//! All states that an exchange can reach, whatever the schedule is.
//!
//! A turn is a function of the state before it: of the VM that runs, the ring, and the host's account. So a state that was
//! seen once leads to nothing new, and where no new state is left, no schedule leads to another. This is the method of
//! explicit-state model checkers (Holzmann, "The Model Checker SPIN", 1997); states are compared by a digest of 128 bits.

use std::{
    cell::RefCell,
    collections::{HashSet, VecDeque},
    rc::Rc,
    time::Instant,
};

use guest_abi::{mailbox::MAILBOX_SIZE, ring::Capacity, transition::Role};
use guestlab_cpu::{StateDigest, StateHasher};

use super::{
    runner::{Cost, TrialRunner, Walked},
    trial::{FailedTrial, Trial},
};
use crate::{
    lab::{
        error::Error,
        exchange::TurnRunner,
        vm::{Vm, VmMoment},
    },
    runlog::ring_check::Orders,
};

/// The most states that wait for their turns. Each takes some pages of memory.
const MOST_WAITING: usize = 20_000;

/// The exchanges of one capacity and one seed, which all begin alike.
pub(super) struct Exchanges {
    pub(super) capacity: Capacity,
    pub(super) seed: u64,
    pub(super) orders: Orders,
    /// The number of consumed items after which an exchange is over.
    pub(super) items: u64,
    /// The time at which the search ends.
    pub(super) until: Option<Instant>,
}

/// A state whose turns were not run yet.
struct Waiting {
    machines: Vec<Rc<RefCell<VmMoment>>>,
    digests: Vec<StateDigest>,
    turns: TurnRunner,
    /// The number of the state, from 0.
    number: usize,
}

/// The states that were seen, and the way to each.
#[derive(Default)]
struct Seen {
    digests: HashSet<StateDigest>,
    /// For each state but the first: the number of the state before it, and the VM that ran.
    ways: Vec<(usize, usize)>,
}

impl Seen {
    /// Returns the turns that lead to a state.
    fn way(&self, mut number: usize) -> Vec<usize> {
        let mut turns = Vec::new();
        while let Some(&(before, vm)) = number.checked_sub(1).and_then(|index| self.ways.get(index)) {
            turns.push(vm);
            number = before;
        }
        turns.reverse();
        turns
    }
}

impl Exchanges {
    /// Visits all states, those with short schedules first, up to the first failure of a guest.
    ///
    /// # Errors
    ///
    /// Something other than a guest failed, or the engine cannot return to a state.
    pub(super) fn walk(&self, runner: &mut TrialRunner<'_>) -> Result<Walked, Error> {
        let mut walked = Walked::new();
        walked.cost.moved = vec![0; runner.machines().len()];
        let turns = runner.new_turns(self.orders, self.capacity);
        walked.conduct = turns.conduct();
        runner.restart_clock();
        if let Err(error) = runner.boot(self.seed, &mut walked.cost) {
            return self.failed(walked, error, Vec::new());
        }
        let mut seen = Seen::default();
        let mut waiting = VecDeque::new();
        waiting.push_back(self.first(runner, turns, &mut seen)?);
        while let Some(mut state) = waiting.pop_front() {
            if self.until.is_some_and(|until| Instant::now() >= until) {
                walked.reached.stopped.get_or_insert("its time was up".into());
                break;
            }
            if waiting.len() > MOST_WAITING {
                walked.reached.stopped.get_or_insert("too many states were new".into());
                break;
            }
            for vm in 0..state.machines.len() {
                state.return_to(runner.machines());
                let mut turns = state.turns.clone();
                runner.restart_clock();
                walked.cost.turns += 1;
                if let Err(error) = runner.turn(&mut turns, vm, &mut walked.cost) {
                    let mut way = seen.way(state.number);
                    way.push(vm);
                    walked.reached.states += seen.digests.len() as u64;
                    return self.failed(walked, error, way);
                }
                walked.cost.moved[vm] += moved(&turns, vm) - moved(&state.turns, vm);
                let machine = &mut runner.machines()[vm];
                if machine.has_read_counts() {
                    walked.reached.stopped.get_or_insert(reads_counts(machine));
                }
                let mut digests = state.digests.clone();
                digests[vm] = digest(machine)?;
                if !seen.digests.insert(StateHasher::of(&(&digests, turns.exchange()))) {
                    continue;
                }
                seen.ways.push((state.number, vm));
                if turns.exchange().ledger().consumed() >= self.items {
                    // One exchange that came to its end is enough to judge the guests by.
                    if walked.cost.runs == 0 {
                        walked.conduct = turns.conduct();
                    }
                    walked.cost.runs += 1;
                    continue;
                }
                let mut machines = state.machines.clone();
                machines[vm] = Rc::new(RefCell::new(moment(machine)?));
                waiting.push_back(Waiting { machines, digests, turns, number: seen.ways.len() });
            }
        }
        walked.reached.states += seen.digests.len() as u64;
        Ok(walked)
    }

    fn first(
        &self,
        runner: &mut TrialRunner<'_>,
        turns: TurnRunner,
        seen: &mut Seen,
    ) -> Result<Waiting, Error> {
        let machines = runner.machines();
        let digests = machines.iter_mut().map(digest).collect::<Result<Vec<_>, _>>()?;
        seen.digests.insert(StateHasher::of(&(&digests, turns.exchange())));
        let moments = machines.iter_mut().map(|machine| Ok(Rc::new(RefCell::new(moment(machine)?))));
        Ok(Waiting { machines: moments.collect::<Result<_, Error>>()?, digests, turns, number: 0 })
    }

    fn failed(&self, walked: Walked, error: Error, turns: Vec<usize>) -> Result<Walked, Error> {
        let Error::Guest(error) = error else { return Err(error) };
        let Self { capacity, seed, orders, .. } = *self;
        let cost = Cost { runs: walked.cost.runs + 1, ..walked.cost };
        let failure = Some(FailedTrial { trial: Trial { capacity, seed, orders, turns }, error });
        Ok(Walked { cost, failure, ..walked })
    }
}

impl Waiting {
    fn return_to(&mut self, machines: &mut [Vm]) {
        for (machine, moment) in machines.iter_mut().zip(&self.machines) {
            machine.return_to(&mut moment.borrow_mut());
        }
    }
}

/// Returns the digest of a VM behind its turn. What is in its mailbox is cleared, because the host writes all of it before
/// the next turn.
fn digest(machine: &mut Vm) -> Result<StateDigest, Error> {
    let bug = |_| Error::Bug("a mailbox that was there in the turn".into());
    machine.write_mailbox(&[0; MAILBOX_SIZE as usize]).map_err(bug)?;
    Ok(machine.digest()?)
}

fn moment(machine: &mut Vm) -> Result<VmMoment, Error> {
    machine.moment().ok_or_else(|| Error::Bug("an engine that returns to no state".into()))
}

/// Returns the number of items that a VM has moved.
fn moved(turns: &TurnRunner, vm: usize) -> u64 {
    turns.exchange().parties()[vm].conduct().moved()
}

/// Returns the reason why states of this guest cannot be compared.
fn reads_counts(machine: &Vm) -> String {
    format!(
        "VM {}, {} has read its time or its number of exits, which never repeat",
        machine.vm(),
        machine.name()
    )
}

/// Returns true if these orders leave no choice to the guests, so that states can repeat.
pub(super) fn are_fixed(orders: Orders) -> bool {
    [Role::Producer, Role::Consumer].iter().all(|&role| orders.of(role) != guest_abi::mailbox::Quota::Random)
}
