//! The producer-consumer exchange: producers and consumers, one of each or many, one ring, and the
//! hypervisor as the only way between them.

mod parallel;
pub(crate) mod source;
mod turns;
mod vms;

use guest_abi::{mode::CpuMode, ring::Capacity};

pub use turns::{Stage, boot};
pub use vms::Cast;

use crate::{
    kvm::System,
    lab::{
        error::Error,
        limits::Limits,
        observe::Observe,
        schedule::{DEFAULT_TURNS, Schedule, ScheduleSpec},
        session::Session,
    },
    output::Sink,
    process::{jail::Jail, output_file::Named},
    runlog::{
        event::{Event, Run},
        ring_check::Orders,
    },
    vmm::{
        image::Source,
        machine::{Machine, Secrets},
    },
};

pub use crate::runlog::command_line::{CONSUMER, PRODUCER};

/// Who is to take part.
#[derive(Clone, Debug)]
pub struct Guests {
    /// The producers' image.
    pub producer: Source,
    /// The consumers' image.
    pub consumer: Source,
    /// The number of producers, which are the first VMs.
    pub producers: usize,
    /// The number of consumers, which are the VMs after them.
    pub consumers: usize,
    /// The number of items that each moves in a turn.
    pub orders: Orders,
    /// The mode that all must run in, where one was asked for.
    pub mode: Option<CpuMode>,
    /// Each guest's memory in bytes.
    pub memory: u32,
    /// Whether guests are told where the host has their memory.
    pub secrets: Secrets,
}

impl Guests {
    /// The images that are read.
    pub fn images(&self) -> Vec<Named> {
        let image = |side: &str, source: &Source| Named::new(format!("the {side}'s image"), &source.path);
        vec![image("producer", &self.producer), image("consumer", &self.consumer)]
    }

    /// The number of VMs.
    pub fn vms(&self) -> usize {
        self.producers + self.consumers
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who takes part.
    pub guests: Guests,
    /// Who has which turn.
    pub schedule: ScheduleSpec,
    /// The number of turns, where one was asked for.
    pub turns: Option<u64>,
    /// The number of items after which a free run ends, where one was asked for.
    pub items: Option<u64>,
    /// The ring's capacity.
    pub capacity: Capacity,
    /// The seed of all chance.
    pub seed: u64,
    /// What the run may take.
    pub limits: Limits,
    /// Whether the run ends with statistics.
    pub stats: bool,
    /// Who looks on.
    pub observe: Observe,
}

/// How turns come about.
enum Play {
    /// One after another, as a schedule has them.
    Along(Schedule),
    /// As they come.
    Free(parallel::Limit),
}

impl Plan {
    fn play(&self) -> Result<Play, Error> {
        match &self.schedule {
            ScheduleSpec::Free => Ok(Play::Free(match (self.turns, self.items) {
                (None, None) => parallel::Limit { turns: Some(DEFAULT_TURNS), items: None },
                (turns, items) => parallel::Limit { turns, items },
            })),
            spec => Ok(Play::Along(Schedule::new(spec, self.guests.vms(), self.turns, self.seed)?)),
        }
    }
}

impl Play {
    fn run_event<'a>(&self, plan: &Plan, cast: &'a Cast) -> Run<'a> {
        let (turns, items) = match self {
            Self::Along(schedule) => (Some(schedule.turns()), None),
            Self::Free(limit) => (limit.turns, limit.items),
        };
        Run {
            experiment: "prodcons".into(),
            abi: guest_abi::VERSION.to_string(),
            seed: plan.seed,
            capacity: Some(plan.capacity.items()),
            schedule: plan.schedule.to_string(),
            turns,
            items,
            repeatable: matches!(self, Self::Along(_)),
            guests: cast.guests(),
        }
    }
}

/// Runs the exchange to its end.
///
/// # Errors
///
/// A schedule, an image or the machine cannot be used, or a guest failed.
pub fn run(system: System, jail: &Jail, plan: &Plan, sink: &mut dyn Sink) -> Result<(), Error> {
    let play = plan.play()?;
    let cast = Cast::open(&system, &plan.guests)?;
    let machines = plan.observe.attach(&system, cast.start(&system, plan.seed)?)?;
    // No VM is to be made any more: KVM's device is closed.
    drop(system);
    let session = Session::start(&plan.limits, jail, plan.observe.needs(), sink)?;
    perform(plan, play, &cast, machines, &session)
}

/// Runs an exchange of the same cast once more, in new VMs, while the jail's door is shut.
///
/// # Errors
///
/// As [`run`].
pub fn run_again(system: &System, plan: &Plan, cast: &Cast, session: &Session<'_>) -> Result<(), Error> {
    perform(plan, plan.play()?, cast, cast.start(system, plan.seed)?, session)
}

/// Plays, and says how it ended.
fn perform(
    plan: &Plan,
    play: Play,
    cast: &Cast,
    mut machines: Vec<Machine>,
    session: &Session<'_>,
) -> Result<(), Error> {
    let mut stage = Stage::new(cast, plan.guests.orders, plan.capacity);
    let run = Event::Run(play.run_event(plan, cast));
    let outcome = match play {
        Play::Along(schedule) => {
            session.confine()?;
            session.event(&run)?;
            stage.play(session, &mut machines, schedule.into_turns())
        }
        Play::Free(limit) => {
            session.event(&run)?;
            parallel::play(&mut stage, session, &mut machines, limit)
        }
    };
    let end = stage.end(&outcome, &machines);
    session.conclude(outcome, Some(end), &machines, plan.stats)?;
    match stage.exchange().audit() {
        true => Ok(()),
        false => Err(Error::Bug("the audit found items that are not accounted for".into())),
    }
}
