//! Trials: runs that are only asked whether a guest fails.

use std::time::Duration;

use guest_abi::ring::Capacity;

use crate::{
    kvm::System,
    lab::{
        error::{Error, GuestError},
        exchange::{self, Cast, Stage},
        session::Session,
    },
    output::Sink,
    runlog::{conduct::Record, recording::vm_name, ring_check::Orders},
    vmm::machine::Machine,
};

/// A run that can be tried: all that its outcome depends on, beside the guests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trial {
    /// The ring's capacity.
    pub capacity: Capacity,
    /// The seed of all chance.
    pub seed: u64,
    /// The number of items that each side is to move in a turn.
    pub orders: Orders,
    /// The VM of each turn, by its index.
    pub turns: Vec<usize>,
}

impl Trial {
    /// The turns, as a written schedule has them.
    pub fn schedule(&self) -> String {
        let name = |&vm: &usize| u32::try_from(vm + 1).ok().and_then(vm_name);
        self.turns.iter().filter_map(name).collect()
    }
}

/// A trial that a guest failed.
pub(super) struct Failure {
    /// The trial, up to the turn in which the guest failed.
    pub(super) trial: Trial,
    /// How it failed.
    pub(super) error: Box<GuestError>,
}

/// Where trials are made: VMs that are reset and used again, and one clock.
pub(super) struct Lab<'a> {
    system: &'a System,
    cast: &'a Cast,
    session: Session<'a>,
    /// The machines of the last trial.
    machines: Vec<Machine>,
    effort: Effort,
    /// What each VM did in all trials.
    records: Vec<Record>,
}

/// What trials have cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effort {
    /// The number of trials.
    pub(super) runs: u64,
    /// The number of their turns.
    pub(super) turns: u64,
    /// The time in guests: inside of `KVM_RUN`.
    pub(super) guest: Duration,
}

impl<'a> Lab<'a> {
    /// Makes the VMs for the first trial, and goes into the jail with them.
    ///
    /// # Errors
    ///
    /// KVM refused a call, or the system the jail.
    pub(super) fn new(system: &'a System, cast: &'a Cast, session: Session<'a>) -> Result<Self, Error> {
        let machines = cast.start(system, 0)?;
        session.confine()?;
        let records = vec![Record::default(); machines.len()];
        Ok(Self { system, cast, session, machines, effort: Effort::default(), records })
    }

    /// What each VM did in all trials, in their order.
    pub(super) fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// What the trials so far have cost.
    pub(super) fn effort(&self) -> Effort {
        self.effort
    }

    /// Runs an exchange once more, in new VMs and with this output.
    ///
    /// # Errors
    ///
    /// A guest failed, or the machine or the output did.
    pub(super) fn run_again(&self, exchange: &exchange::Plan, sink: &mut dyn Sink) -> Result<(), Error> {
        exchange::run_again(self.system, exchange, self.cast, &self.session.once_more(sink))
    }

    /// Makes a trial; `None` if no guest failed.
    ///
    /// # Errors
    ///
    /// It is not the guests that failed.
    pub(super) fn fails(&mut self, trial: &Trial) -> Result<Option<Failure>, Error> {
        self.cast.restart(self.system, &mut self.machines, trial.seed)?;
        let mut stage = Stage::new(self.cast, trial.orders, trial.capacity);
        self.session.restart_clock();
        let outcome = play(&self.session, &mut stage, &mut self.machines, &trial.turns);
        self.effort.runs += 1;
        self.effort.turns += stage.turns();
        self.effort.guest += self.machines.iter().map(|machine| machine.stats().guest()).sum::<Duration>();
        for (record, party) in self.records.iter_mut().zip(stage.exchange().parties()) {
            record.add(party.conduct());
        }
        match outcome {
            Ok(()) => Ok(None),
            Err(Error::Guest(error)) => {
                let turns = usize::try_from(error.at.turn.unwrap_or(0)).unwrap_or(trial.turns.len());
                let turns = trial.turns.iter().take(turns).copied().collect();
                Ok(Some(Failure { trial: Trial { turns, ..trial.clone() }, error }))
            }
            Err(error) => Err(error),
        }
    }
}

/// Plays the turns, and looks at every invariant after each.
fn play(
    session: &Session<'_>,
    stage: &mut Stage,
    machines: &mut [Machine],
    turns: &[usize],
) -> Result<(), Error> {
    machines.iter_mut().try_for_each(|machine| exchange::boot(session, machine))?;
    for &vm in turns {
        stage.turn(session, &mut machines[vm], vm)?;
        if !stage.exchange().audit() {
            return Err(Error::Bug("after a turn that passed, the audit fails".into()));
        }
    }
    Ok(())
}
