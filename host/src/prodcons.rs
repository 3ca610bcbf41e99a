//! The producer-consumer exchange: producers and consumers, one of each or many, one ring, and the
//! hypervisor as the only way between them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use guest_abi::{
    mailbox::{Mailbox, Quota},
    mode::CpuMode,
    ring::{Capacity, Pointers},
    transition::Role,
};

use crate::{
    crash::Crash,
    error::{Error, GuestEnd},
    event::{Audit, End, Event, Guest, Run, Turn},
    exchange::{Exchange, Moved, Party},
    hypercall::Stop,
    image::{Image, ImageError, Problem, Request, Start},
    kvm::System,
    launch::Parameters,
    machine::{Machine, Secrets},
    output::Sink,
    schedule::{Schedule, ScheduleSpec},
    session::{self, Session},
    solo::{check_mode, open_image},
};

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The producers' image.
    pub producer: PathBuf,
    /// The consumers' image.
    pub consumer: PathBuf,
    /// The number of producers, which are the first VMs.
    pub producers: usize,
    /// The number of consumers, which are the VMs after them.
    pub consumers: usize,
    /// The mode that all must run in, where one was asked for.
    pub mode: Option<CpuMode>,
    /// Who has which turn.
    pub schedule: ScheduleSpec,
    /// The number of turns, where one was asked for.
    pub turns: Option<u64>,
    /// The ring's capacity.
    pub capacity: Capacity,
    /// How much a producer produces a turn.
    pub produce: Quota,
    /// How much a consumer consumes a turn.
    pub consume: Quota,
    /// The seed of all chance.
    pub seed: u64,
    /// Each guest's memory in bytes.
    pub memory: u32,
    /// The time after which the run ends.
    pub timeout: Duration,
    /// Whether guests are told where the host has their memory.
    pub secrets: Secrets,
    /// Whether the run ends with statistics.
    pub stats: bool,
}

/// Runs the exchange to its end.
///
/// # Errors
///
/// A schedule, an image or the machine cannot be used, or a guest failed.
pub fn run(system: &System, plan: &Plan, sink: &mut dyn Sink) -> Result<(), Error> {
    let schedule = Schedule::new(&plan.schedule, plan.producers + plan.consumers, plan.turns, plan.seed)?;
    let cast = Cast::open(plan)?;
    for image in [&cast.producer, &cast.consumer] {
        check_mode(system, image)?;
    }
    let mut machines = cast.start(system, plan)?;
    let mut stage = Stage { exchange: Exchange::new(plan.capacity, cast.parties(plan)), turns: 0 };

    let mut session = Session::start(plan.timeout, sink)?;
    session.event(&Event::Run(cast.run_event(plan, &schedule)))?;
    let outcome = stage.play(&mut session, &mut machines, schedule);
    if let Err(Error::Guest(error)) = &outcome {
        session.event(&Event::Crash(session::crash_event(error)))?;
    }
    if matches!(outcome, Ok(()) | Err(Error::Guest(_))) {
        session.event(&Event::End(stage.end(&outcome, &machines)))?;
    }
    if plan.stats {
        session.event(&session::stats_event(&machines))?;
    }
    session.flush()?;
    match outcome {
        Ok(()) if !stage.exchange.audit() => {
            Err(Error::Bug("the audit found items that are not accounted for".into()))
        }
        outcome => outcome,
    }
}

/// Who takes part: the producers, then the consumers.
struct Cast {
    producer: Image,
    consumer: Image,
    roles: Vec<Role>,
}

impl Cast {
    fn open(plan: &Plan) -> Result<Self, Error> {
        let mut roles = vec![Role::Producer; plan.producers];
        roles.resize(plan.producers + plan.consumers, Role::Consumer);
        let (producer, consumer) = (open_guest(&plan.producer, plan)?, open_guest(&plan.consumer, plan)?);
        Ok(Self { producer, consumer, roles })
    }

    /// Each VM's number, role and image.
    fn vms(&self) -> impl Iterator<Item = (u32, Role, &Image)> {
        (1..).zip(&self.roles).map(|(vm, &role)| match role {
            Role::Producer => (vm, role, &self.producer),
            Role::Consumer => (vm, role, &self.consumer),
        })
    }

    fn parties(&self, plan: &Plan) -> Vec<Party> {
        let quota = |role| match role {
            Role::Producer => plan.produce,
            Role::Consumer => plan.consume,
        };
        self.roles.iter().map(|&role| Party::new(role, quota(role))).collect()
    }

    fn start(&self, system: &System, plan: &Plan) -> Result<Vec<Machine>, Error> {
        let machine = |(vm, _, image): (u32, Role, &Image)| {
            Machine::new(system, image, Parameters { vm, seed: plan.seed, memory: plan.memory }, plan.secrets)
        };
        Ok(self.vms().map(machine).collect::<Result<_, _>>()?)
    }

    fn run_event(&self, plan: &Plan, schedule: &Schedule) -> Run<'_> {
        Run {
            experiment: "prodcons",
            abi: guest_abi::VERSION.to_string(),
            seed: plan.seed,
            capacity: plan.capacity.items(),
            schedule: plan.schedule.to_string(),
            turns: schedule.turns(),
            guests: self
                .vms()
                .map(|(vm, role, image)| Guest { vm, name: image.name(), role, sha256: image.sha256() })
                .collect(),
        }
    }
}

/// Opens the image of a guest of guest-rt, which alone can take part.
fn open_guest(path: &Path, plan: &Plan) -> Result<Image, Error> {
    let image = open_image(path, Request { mode: plan.mode, ..Request::default() }, plan.memory)?;
    match image.start() {
        Start::Boot { .. } => Ok(image),
        _ => Err(ImageError { path: path.into(), problem: Problem::NoExchange }.into()),
    }
}

/// The exchange, and how far it has come.
struct Stage {
    exchange: Exchange,
    turns: u64,
}

impl Stage {
    /// Boots the guests and gives each turn to its VM.
    fn play(
        &mut self,
        session: &mut Session<'_>,
        machines: &mut [Machine],
        schedule: Schedule,
    ) -> Result<(), Error> {
        for machine in machines.iter_mut() {
            boot(session, machine)?;
        }
        for vm in schedule.into_turns() {
            self.turn(session, &mut machines[vm], vm)?;
            self.turns += 1;
        }
        Ok(())
    }

    /// One turn: the ring goes into the mailbox, the guest runs, and what it left is checked and
    /// adopted.
    fn turn(&mut self, session: &mut Session<'_>, machine: &mut Machine, vm: usize) -> Result<(), Error> {
        let number = self.turns + 1;
        let exits_before = machine.stats().total();
        machine.write_mailbox(&self.exchange.mailbox(vm)).map_err(mailbox_bug)?;
        match session.run(machine, Some(number))? {
            Stop::TurnEnded => {}
            Stop::Attached => return Err(session::refuse(machine, Some(number), Crash::MailboxTwice)),
            _ => return Err(session::refuse(machine, Some(number), Crash::LeftExchange)),
        }
        let claim = machine.read_mailbox().map_err(mailbox_bug)?;
        let Moved { items, makers } = self
            .exchange
            .settle(vm, &claim)
            .map_err(|refusal| session::refuse(machine, Some(number), Crash::Violation(refusal)))?;
        let role = self.exchange.parties()[vm].role();
        let ring = self.exchange.ring();
        let Pointers { prod_p, cons_p, count, .. } = ring.pointers();
        session.event(&Event::Turn(Turn {
            turn: number,
            vm: machine.vm(),
            role,
            items: &items,
            prod_p,
            cons_p,
            count,
            exits: machine.stats().total() - exits_before,
            from: self.shown_makers(role, &makers),
            ring,
        }))
    }

    /// The VMs that made the items of a consumer's turn; with two VMs there is no question.
    fn shown_makers(&self, role: Role, makers: &[usize]) -> Option<Vec<u32>> {
        let many = self.exchange.parties().len() > 2 && role == Role::Consumer;
        many.then(|| makers.iter().map(|&party| vm_number(party)).collect())
    }

    fn end(&self, outcome: &Result<(), Error>, machines: &[Machine]) -> End {
        let broken = matches!(outcome, Err(Error::Guest(error)) if is_violation(&error.end));
        let ledger = self.exchange.ledger();
        End {
            turns: self.turns,
            produced: ledger.produced(),
            consumed: ledger.consumed(),
            left: self.exchange.ring().pointers().count,
            audit: if broken || !self.exchange.audit() { Audit::Failed } else { Audit::Ok },
            exits: machines.iter().map(|m| (m.vm(), session::exits(m.stats()))).collect::<BTreeMap<_, _>>(),
        }
    }
}

/// Runs a guest until it has attached its mailbox, which must be this experiment's.
fn boot(session: &mut Session<'_>, machine: &mut Machine) -> Result<(), Error> {
    match session.run(machine, None)? {
        Stop::Attached => {}
        _ => return Err(session::refuse(machine, None, Crash::LeftExchange)),
    }
    match machine.mailbox_size() {
        Some(size) if size as usize != size_of::<Mailbox>() => {
            Err(session::refuse(machine, None, Crash::MailboxSize { size }))
        }
        _ => Ok(()),
    }
}

fn is_violation(end: &GuestEnd) -> bool {
    matches!(end, GuestEnd::Crashed(Crash::Violation(_), _))
}

fn mailbox_bug(error: crate::memory::MemoryError) -> Error {
    Error::Bug(format!("a mailbox that was checked when it was attached: {error}"))
}

/// The number of the VM of a party.
fn vm_number(party: usize) -> u32 {
    u32::try_from(party).map_or(u32::MAX, |party| party + 1)
}
