//! The runner of trials: machines that are used again and again, with a clock of their own.

use std::time::Duration;

use guest_abi::ring::Capacity;

use super::{start::Starts, tree::Tree, trial::FailedTrial};
use crate::{
    lab::{
        error::Error,
        exchange::{self, TurnRunner, Vms},
        session::Session,
        vm::{Platform, Vm, VmMoment},
    },
    runlog::{conduct::Conduct, ring_check::Orders, sink::Sink, verdict::Reached},
};

/// Runs trials, one after the other.
pub(super) struct TrialRunner<'a> {
    system: &'a Platform,
    vms: &'a Vms,
    session: Session<'a>,
    /// The machines of the last trial.
    machines: Vec<Vm>,
    /// The starts of the guests, if they are used, once the first trial has found them.
    starts: Option<Option<Starts>>,
    /// The thread is in the jail.
    is_confined: bool,
}

/// The cost of trials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// The number of trials.
    pub(super) runs: u64,
    /// The number of their turns. A turn counts for each trial that it is in.
    pub(super) turns: u64,
    /// The time in guests.
    pub(super) guest: Duration,
    /// The number of items that each VM moved in all trials, by its index.
    pub(super) moved: Vec<u64>,
}

impl Cost {
    /// Adds the cost of other trials.
    pub(super) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.turns += other.turns;
        self.guest += other.guest;
        self.moved.resize(self.moved.len().max(other.moved.len()), 0);
        self.moved.iter_mut().zip(&other.moved).for_each(|(moved, more)| *moved += more);
    }
}

/// The outcome of some trials.
pub(super) struct Walked {
    pub(super) cost: Cost,
    /// The states, where they were compared.
    pub(super) reached: Reached,
    /// The conduct of each VM in the trial by which it is judged.
    pub(super) conduct: Vec<Conduct>,
    /// The first trial that failed. Those after it were not made.
    pub(super) failure: Option<FailedTrial>,
}

impl Walked {
    pub(super) fn new() -> Self {
        Self { cost: Cost::default(), reached: Reached::default(), conduct: Vec::new(), failure: None }
    }
}

/// A place of a tree to return to.
struct Place {
    depth: usize,
    /// The state of each VM that has run since the place before.
    moments: Vec<Option<VmMoment>>,
    turns: TurnRunner,
}

/// The places of a tree, on the way to where the machines are.
#[derive(Default)]
struct Places {
    all: Vec<Place>,
    /// The VMs that have run since the last place, by their indexes.
    ran: Vec<bool>,
}

impl Places {
    /// Returns to the place at a depth, if there is one, and forgets those behind it.
    fn return_to(&mut self, depth: usize, machines: &mut [Vm]) -> Option<TurnRunner> {
        while let Some(place) = self.all.pop_if(|place| place.depth > depth) {
            let ran = self.ran.iter_mut().zip(place.moments);
            ran.for_each(|(ran, moment)| *ran |= moment.is_some());
        }
        let turns = self.all.last().filter(|place| place.depth == depth)?.turns.clone();
        for (vm, machine) in machines.iter_mut().enumerate() {
            let mut moments = self.all.iter_mut().rev().filter_map(|place| place.moments[vm].as_mut());
            if let (true, Some(moment)) = (std::mem::take(&mut self.ran[vm]), moments.next()) {
                machine.return_to(moment);
            }
        }
        Some(turns)
    }

    /// Keeps the state of now, if the engine can return to it.
    fn keep(&mut self, depth: usize, turns: &TurnRunner, machines: &mut [Vm]) {
        if self.all.last().is_some_and(|last| last.depth == depth) {
            return;
        }
        let moments = machines.iter_mut().zip(&mut self.ran).map(|(machine, ran)| match ran {
            true => machine.moment().map(Some),
            false => Some(None),
        });
        if let Some(moments) = moments.collect() {
            self.all.push(Place { depth, moments, turns: turns.clone() });
            self.ran.fill(false);
        }
    }
}

impl<'a> TrialRunner<'a> {
    /// Creates the VMs for the first trial.
    ///
    /// # Errors
    ///
    /// The engine refused a call.
    pub(super) fn new(system: &'a Platform, vms: &'a Vms, session: Session<'a>) -> Result<Self, Error> {
        let machines = vms.start(system, 0)?;
        Ok(Self { system, vms, session, machines, starts: None, is_confined: false })
    }

    /// Moves the calling thread into the jail, once. All trials must be made by it.
    ///
    /// # Errors
    ///
    /// The system refused the jail.
    pub(super) fn confine(&mut self) -> Result<(), Error> {
        if !self.is_confined {
            self.session.confine()?;
            self.is_confined = true;
        }
        Ok(())
    }

    /// Returns true if the engine can return to the states of its machines.
    pub(super) fn can_return(&self) -> bool {
        self.machines.iter().all(|machine| machine.cpu().instructions().is_some())
    }

    /// Starts the clock again, for another run.
    pub(super) fn restart_clock(&self) {
        self.session.restart_clock();
    }

    /// Returns the machines.
    pub(super) fn machines(&mut self) -> &mut [Vm] {
        &mut self.machines
    }

    /// Returns the beginning of an exchange.
    pub(super) fn new_turns(&self, orders: Orders, capacity: Capacity) -> TurnRunner {
        TurnRunner::new(self.vms, orders, capacity)
    }

    /// Runs an exchange again, in new VMs and with this output.
    ///
    /// # Errors
    ///
    /// A guest failed, or the machine or the output did.
    pub(super) fn run_again(
        &self,
        exchange: &exchange::ExchangeConfig,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        exchange::run_again(self.system, exchange, self.vms, &self.session.once_more(sink))
    }

    /// Runs the trials of a tree up to the first that fails. A beginning that several share runs once, if the engine can
    /// return to its end.
    ///
    /// # Errors
    ///
    /// Something other than a guest failed.
    pub(super) fn walk(&mut self, tree: &Tree) -> Result<Walked, Error> {
        let mut walk = Walked::new();
        let mut places = Places::default();
        for schedule in 0..tree.schedules.len() {
            self.restart_clock();
            let (turns, outcome) = self.run(tree, schedule, &mut places, &mut walk.cost);
            walk.cost.runs += 1;
            match outcome {
                Ok(()) => {}
                Err(Error::Guest(error)) => {
                    let reached = usize::try_from(error.at.turn.unwrap_or(0)).unwrap_or(usize::MAX);
                    walk.failure = Some(FailedTrial { trial: tree.trial(schedule, reached), error });
                }
                Err(error) => return Err(error),
            }
            walk.cost.turns += turns.turns();
            let conduct = turns.conduct();
            let moved = conduct.iter().map(Conduct::moved).collect();
            walk.cost.add(&Cost { moved, ..Cost::default() });
            if schedule == tree.recorded || walk.failure.is_some() {
                walk.conduct = conduct;
            }
            if walk.failure.is_some() {
                break;
            }
        }
        Ok(walk)
    }

    /// Runs one trial of a tree, from the last place that it shares with the one before it. Returns the turns up to its end.
    fn run(
        &mut self,
        tree: &Tree,
        schedule: usize,
        places: &mut Places,
        cost: &mut Cost,
    ) -> (TurnRunner, Result<(), Error>) {
        let shared = tree.shared(schedule);
        let (mut turns, begin) = match places.return_to(shared, &mut self.machines) {
            Some(turns) => (turns, shared),
            None => (self.new_turns(tree.orders, tree.capacity), 0),
        };
        if begin == 0 && places.all.is_empty() {
            places.ran = vec![true; self.machines.len()];
            if let Err(error) = self.boot(tree.seed, cost) {
                return (turns, Err(error));
            }
        }
        let order = &tree.schedules[schedule];
        for depth in begin..=order.len() {
            if tree.branches(schedule, depth) {
                places.keep(depth, &turns, &mut self.machines);
            }
            let Some(&vm) = order.get(depth) else { break };
            places.ran[vm] = true;
            if let Err(error) = self.turn(&mut turns, vm, cost) {
                return (turns, Err(error));
            }
        }
        (turns, Ok(()))
    }

    /// Boots all guests with this seed.
    ///
    /// # Errors
    ///
    /// A guest failed, or the engine did.
    pub(super) fn boot(&mut self, seed: u64, cost: &mut Cost) -> Result<(), Error> {
        if self.starts.is_none() {
            let Self { system, vms, session, machines, .. } = self;
            self.starts = Some(Starts::find(system, vms, machines, session)?);
        }
        match &mut self.starts {
            Some(Some(starts)) => starts.start(&mut self.machines, seed)?,
            _ => self.vms.restart(self.system, &mut self.machines, seed)?,
        }
        for machine in &mut self.machines {
            let before = machine.stats().guest();
            let outcome = exchange::boot(&self.session, machine);
            cost.guest += machine.stats().guest().saturating_sub(before);
            outcome?;
        }
        Ok(())
    }

    /// Runs a turn, and checks all invariants.
    ///
    /// # Errors
    ///
    /// A guest failed, or the engine did.
    pub(super) fn turn(&mut self, turns: &mut TurnRunner, vm: usize, cost: &mut Cost) -> Result<(), Error> {
        let machine = &mut self.machines[vm];
        let before = machine.stats().guest();
        let outcome = turns.turn(&self.session, machine, vm);
        cost.guest += machine.stats().guest().saturating_sub(before);
        outcome?;
        match turns.exchange().audit() {
            true => Ok(()),
            false => Err(Error::Bug("after a turn that passed, the audit fails".into())),
        }
    }
}
