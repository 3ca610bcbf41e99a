//! Trials: runs without output that show only whether a guest fails.

use std::time::Duration;

use guest_abi::ring::Capacity;

use crate::{
    lab::{
        error::Error,
        exchange::{self, TurnRunner, Vms},
        failure::GuestError,
        session::Session,
        vm::{Platform, Vm},
    },
    runlog::{conduct::Record, recording::vm_name, ring_check::Orders, sink::Sink},
};

/// A run to try: everything that its outcome depends on, except the guests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trial {
    /// The ring's capacity.
    pub capacity: Capacity,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The number of items that each side must move in a turn.
    pub orders: Orders,
    /// The VM of each turn, by its index.
    pub turns: Vec<usize>,
}

impl Trial {
    /// Returns the turns as a written schedule.
    pub fn schedule(&self) -> String {
        let name = |&vm: &usize| u32::try_from(vm + 1).ok().and_then(vm_name);
        self.turns.iter().filter_map(name).collect()
    }
}

/// A trial in which a guest failed.
pub(super) struct FailedTrial {
    /// The trial, up to the turn in which the guest failed.
    pub(super) trial: Trial,
    /// The failure.
    pub(super) error: Box<GuestError>,
}

/// Runs trials, in VMs that it resets and uses again, with one clock.
pub(super) struct TrialRunner<'a> {
    system: &'a Platform,
    vms: &'a Vms,
    session: Session<'a>,
    /// The machines of the last trial.
    machines: Vec<Vm>,
    cost: Cost,
    /// The record of each VM over all trials.
    records: Vec<Record>,
}

/// The cost of trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// The number of trials.
    pub(super) runs: u64,
    /// The number of their turns.
    pub(super) turns: u64,
    /// The time in guests: inside `KVM_RUN`.
    pub(super) guest: Duration,
}

impl<'a> TrialRunner<'a> {
    /// Creates the VMs for the first trial, and enters the jail.
    ///
    /// # Errors
    ///
    /// KVM refused a call, or the system refused the jail.
    pub(super) fn new(system: &'a Platform, vms: &'a Vms, session: Session<'a>) -> Result<Self, Error> {
        let machines = vms.start(system, 0)?;
        session.confine()?;
        let records = vec![Record::default(); machines.len()];
        Ok(Self { system, vms, session, machines, cost: Cost::default(), records })
    }

    /// Returns the record of each VM over all trials, in their order.
    pub(super) fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// Returns the cost of the trials so far.
    pub(super) fn cost(&self) -> Cost {
        self.cost
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

    /// Runs a trial. Returns `None` if no guest failed.
    ///
    /// # Errors
    ///
    /// Something other than a guest failed.
    pub(super) fn fails(&mut self, trial: &Trial) -> Result<Option<FailedTrial>, Error> {
        self.vms.restart(self.system, &mut self.machines, trial.seed)?;
        let mut runner = TurnRunner::new(self.vms, trial.orders, trial.capacity);
        self.session.restart_clock();
        let outcome = run_turns(&self.session, &mut runner, &mut self.machines, &trial.turns);
        self.cost.runs += 1;
        self.cost.turns += runner.turns();
        self.cost.guest += self.machines.iter().map(|machine| machine.stats().guest()).sum::<Duration>();
        for (record, party) in self.records.iter_mut().zip(runner.exchange().parties()) {
            record.add(party.conduct());
        }
        match outcome {
            Ok(()) => Ok(None),
            Err(Error::Guest(error)) => {
                let turns = usize::try_from(error.at.turn.unwrap_or(0)).unwrap_or(trial.turns.len());
                let turns = trial.turns.iter().take(turns).copied().collect();
                Ok(Some(FailedTrial { trial: Trial { turns, ..trial.clone() }, error }))
            }
            Err(error) => Err(error),
        }
    }
}

/// Runs the turns, and checks all invariants after each.
fn run_turns(
    session: &Session<'_>,
    runner: &mut TurnRunner,
    machines: &mut [Vm],
    turns: &[usize],
) -> Result<(), Error> {
    machines.iter_mut().try_for_each(|machine| exchange::boot(session, machine))?;
    for &vm in turns {
        runner.turn(session, &mut machines[vm], vm)?;
        if !runner.exchange().audit() {
            return Err(Error::Bug("after a turn that passed, the audit fails".into()));
        }
    }
    Ok(())
}
