//! The producer-consumer exchange: one or more producers and consumers, and one ring, which the hypervisor copies
//! between them.

mod config;
mod parallel;
pub mod source;
mod turns;
mod vms;

pub use config::{CONSUMER, ExchangeConfig, Guests, PRODUCER};
pub use turns::{TurnRunner, boot};
pub use vms::Vms;

use crate::{
    lab::{
        core::CoreFile,
        error::Error,
        needs::Needs,
        schedule::{DEFAULT_TURNS, Schedule, ScheduleSpec},
        session::Session,
        vm::{Platform, Vm},
    },
    process::jail::Jail,
    runlog::{
        event::{Event, Run},
        sink::Sink,
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
            spec => Ok(Order::Scheduled(Schedule::new(spec, self.guests.vms(), self.turns, self.seed)?)),
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
    let machines = config.instrumentation.attach(&system, vms.start(&system, config.seed)?)?;
    // This closes KVM's device, so that no VM can be created any more.
    drop(system);
    let needs = Needs { core: config.core.is_some(), ..config.instrumentation.needs(&machines) };
    let session = Session::start(&config.limits, jail, needs, sink)?;
    run_exchange(config, order, &vms, machines, &session)
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
    run_exchange(config, config.order()?, vms, vms.start(system, config.seed)?, session)
}

/// Runs the turns, and reports the end.
fn run_exchange(
    config: &ExchangeConfig,
    order: Order,
    vms: &Vms,
    mut machines: Vec<Vm>,
    session: &Session<'_>,
) -> Result<(), Error> {
    let core = CoreFile::begin(config.core.as_deref())?;
    let mut runner = TurnRunner::new(vms, config.guests.orders, config.capacity);
    let run = Event::Run(Box::new(order.run_event(config, vms)));
    let outcome = match order {
        Order::Scheduled(schedule) => {
            session.confine()?;
            session.event(&run)?;
            runner.run_turns(session, &mut machines, schedule.into_turns())
        }
        Order::Free(limit) => {
            session.event(&run)?;
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
