//! The producer-consumer exchange: one or more producers and consumers, and one ring, which the hypervisor copies
//! between them.

mod config;
mod parallel;
pub mod source;
mod turns;
mod twins;
mod vms;

pub use config::{CONSUMER, ExchangeConfig, Guests, PRODUCER};
pub use turns::{TurnRunner, boot};
use twins::Twins;
pub use vms::Vms;

use crate::{
    lab::{
        core::CoreFile,
        error::Error,
        needs::Needs,
        schedule::{DEFAULT_TURNS, Schedule, ScheduleSpec},
        session::Session,
        snapshot::SaveAt,
        vm::{Platform, Vm},
    },
    process::jail::Jail,
    runlog::{
        event::{Event, Run},
        sink::{Silence, Sink},
    },
};

/// The order of turns.
enum Order {
    /// One after another, as in a schedule.
    Scheduled(Schedule),
    /// In parallel, as they come.
    Free(parallel::Limit),
}

impl ExchangeConfig {
    fn order(&self) -> Result<Order, Error> {
        match &self.schedule {
            ScheduleSpec::Free => Ok(Order::Free(match (self.turns, self.items) {
                (None, None) => parallel::Limit { turns: Some(DEFAULT_TURNS), items: None },
                (turns, items) => parallel::Limit { turns, items },
            })),
            spec => {
                let schedule = Schedule::new(spec, self.guests.vms(), self.turns, self.seed)?;
                Ok(Order::Scheduled(self.rest(schedule)?))
            }
        }
    }

    /// Returns the turns of a schedule that are not over yet.
    fn rest(&self, schedule: Schedule) -> Result<Schedule, Error> {
        let (over, all) = (self.from.as_ref().map_or(0, |from| from.turns()), schedule.turns());
        if all < over {
            return Err(Error::Usage(format!("--turns {all}: the snapshot is behind turn {over}")));
        }
        match &self.save {
            Some(SaveAt { turn, .. }) if !(over..=all).contains(turn) => {
                Err(Error::Usage(format!("--save-at {turn}: the run has the turns {} to {all}", over + 1)))
            }
            _ => Ok(schedule.skip(over)),
        }
    }
}

impl Order {
    fn run_event(&self, config: &ExchangeConfig, vms: &Vms) -> Run {
        let (turns, items) = match self {
            Self::Scheduled(schedule) => (Some(schedule.turns()), None),
            Self::Free(limit) => (limit.turns, limit.items),
        };
        Run {
            experiment: "prodcons".into(),
            engine: vms.engine().into(),
            abi: guest_abi::VERSION.to_string(),
            seed: config.seed,
            capacity: Some(config.capacity.items()),
            schedule: config.schedule.to_string(),
            turns,
            items,
            repeatable: matches!(self, Self::Scheduled(_)),
            guests: vms.guests(),
        }
    }
}

/// Runs the exchange to its end.
///
/// # Errors
///
/// A schedule, an image or the machine cannot be used, or a guest failed.
pub fn run(system: Platform, jail: &Jail, config: &ExchangeConfig, sink: &mut dyn Sink) -> Result<(), Error> {
    let order = config.order()?;
    let vms = Vms::open(&system, &config.guests)?;
    let start = || {
        let mut machines = vms.start(&system, config.seed)?;
        if let Some(snapshot) = &config.from {
            snapshot.check_guests(&vms.guests())?;
            snapshot.restore(&mut machines)?;
        }
        Ok::<_, Error>(machines)
    };
    let machines = start()?;
    let seconds = config.checks_determinism.then(start).transpose()?;
    let machines = config.instrumentation.attach(&system, machines)?;
    // This closes KVM's device, so that no VM can be created any more.
    drop(system);
    let states = config.save.is_some() || config.checks_determinism || config.core.is_some();
    let needs = Needs { states, ..config.instrumentation.needs(&machines) };
    let session = Session::start(&config.limits, jail, needs, sink)?;
    run_exchange(config, order, &vms, machines, seconds, &session)
}

/// Runs the exchange again in new VMs, after the threads have entered the jail.
///
/// # Errors
///
/// As [`run`].
pub fn run_again(
    system: &Platform,
    config: &ExchangeConfig,
    vms: &Vms,
    session: &Session<'_>,
) -> Result<(), Error> {
    run_exchange(config, config.order()?, vms, vms.start(system, config.seed)?, None, session)
}

/// Runs the turns, and reports the end.
fn run_exchange(
    config: &ExchangeConfig,
    order: Order,
    vms: &Vms,
    mut machines: Vec<Vm>,
    seconds: Option<Vec<Vm>>,
    session: &Session<'_>,
) -> Result<(), Error> {
    let core = CoreFile::begin(config.core.as_deref())?;
    let mut silence = Silence;
    let mut runner = match &config.from {
        Some(snapshot) => TurnRunner::resumed(vms, config.guests.orders, config.capacity, snapshot)?,
        None => TurnRunner::new(vms, config.guests.orders, config.capacity),
    };
    let run = order.run_event(config, vms);
    let mut saver = config.save.as_ref().map(|save| save.open(config.options())).transpose()?;
    let outcome = match order {
        Order::Scheduled(schedule) => {
            session.confine()?;
            session.event(&Event::Run(Box::new(run.clone())))?;
            let mut twins = seconds.map(|machines| Twins {
                machines,
                turns: runner.clone(),
                session: session.once_more(&mut silence),
                order: Box::new(schedule.clone().into_turns()),
                is_booted: false,
            });
            let ended = |runner: &TurnRunner, machines: &mut [Vm]| {
                if let Some(twins) = &mut twins {
                    twins.follow(machines)?;
                }
                match &mut saver {
                    Some(saver) => saver.turn_ended(runner.turns(), &run, runner.exchange(), machines),
                    None => Ok(()),
                }
            };
            let outcome = runner.run_turns(session, &mut machines, schedule.into_turns(), ended);
            match twins {
                Some(twins) => twins.end(outcome),
                None => outcome,
            }
        }
        Order::Free(limit) => {
            session.event(&Event::Run(Box::new(run)))?;
            parallel::run_parallel(&mut runner, session, &mut machines, limit)
        }
    };
    let end = runner.end(&outcome, &machines);
    let outcome = session.conclude(outcome, Some(end), &machines, config.stats);
    core.conclude(outcome, &mut machines)?;
    match runner.exchange().audit() {
        true => Ok(()),
        false => Err(Error::Bug("the audit found items that are not accounted for".into())),
    }
}
