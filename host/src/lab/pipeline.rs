//! Experiments of any kind: the host copies the mailbox from each VM to the one with the next turn. The content of
//! the mailbox has no meaning for the host.

use std::{collections::BTreeMap, path::PathBuf};

pub use crate::lab::experiment_file::{Experiment, FileError, Place, VmGuest, VmSpec};

use guest_abi::mailbox::MAX_MESSAGE_SIZE;

use crate::{
    lab::{
        core::CoreFile,
        error::Error,
        events,
        instrumentation::Instrumentation,
        limits::Limits,
        needs::Needs,
        open,
        refused::Refused,
        schedule::Schedule,
        session::{self, Session, TurnEnd},
        vm::{Platform, Vm},
    },
    process::jail::Jail,
    runlog::{
        event::{Action, End, Event, Guest, Run, Turn},
        sink::Sink,
    },
    vmm::{HvaPolicy, Image, Parameters},
};

/// The configuration of an experiment.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The experiment.
    pub experiment: Experiment,
    /// The image of each of its VMs.
    pub images: Vec<PathBuf>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The limits of the run.
    pub limits: Limits,
    /// The policy for the hypercall that returns host virtual addresses.
    pub secrets: HvaPolicy,
    /// True if the run ends with statistics.
    pub stats: bool,
    /// The debugger or tracer of the VMs.
    pub instrumentation: Instrumentation,
    /// The file for the core of a guest that fails.
    pub core: Option<PathBuf>,
}

/// Runs an experiment to its end: after its turns, or when a guest exits with status 0.
///
/// # Errors
///
/// The schedule, an image or the machine cannot be used, or a guest failed.
pub fn run(system: Platform, jail: &Jail, config: &PipelineConfig, sink: &mut dyn Sink) -> Result<(), Error> {
    let Experiment { schedule, turns, vms, .. } = &config.experiment;
    let schedule = Schedule::new(schedule, vms.len(), *turns, config.seed)?;
    let images = vms
        .iter()
        .zip(&config.images)
        .map(|(vm, path)| open::open_guest(&system, path, vm.mode, vm.memory))
        .collect::<Result<Vec<_>, _>>()?;
    let machines = (1..)
        .zip(vms.iter().zip(&images))
        .map(|(number, (vm, image))| {
            let VmSpec { memory, arguments, .. } = vm;
            let parameters = Parameters { vm: number, seed: config.seed, memory: *memory, arguments };
            Vm::new(&system, image, parameters, config.secrets)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut machines = config.instrumentation.attach(&system, machines)?;
    let engine = system.engines(&images)?;

    // This closes KVM's device, so that no VM can be created any more.
    drop(system);
    let needs = Needs { states: config.core.is_some(), ..config.instrumentation.needs(&machines) };
    let session = Session::start(&config.limits, jail, needs, sink)?;
    let core = CoreFile::begin(config.core.as_deref())?;
    session.confine()?;
    session.event(&Event::Run(Box::new(run_event(config, engine, &schedule, &images))))?;
    let mut turns = 0;
    let outcome = run_turns(&session, &mut machines, schedule, &mut turns);
    let exits: BTreeMap<_, _> = machines.iter().map(|m| (m.vm(), events::exits(m.stats()))).collect();
    let end = End { turns, totals: None, rule: None, findings: Vec::new(), exits };
    let outcome = session.conclude(outcome, Some(end), &machines, config.stats);
    core.conclude(outcome, &mut machines)
}

fn run_event(config: &PipelineConfig, engine: String, schedule: &Schedule, images: &[Image]) -> Run {
    let guest = |(vm, image): (u32, &Image)| Guest {
        vm,
        name: image.name().into(),
        role: None,
        sha256: image.sha256().into(),
    };
    Run {
        experiment: config.experiment.name.clone(),
        engine,
        abi: guest_abi::VERSION.to_string(),
        seed: config.seed,
        capacity: None,
        schedule: config.experiment.schedule.to_string(),
        turns: Some(schedule.turns()),
        items: None,
        repeatable: true,
        guests: (1..).zip(images).map(guest).collect(),
    }
}

/// Boots the guests, and runs the turns. Counts them in `turns`.
fn run_turns(
    session: &Session<'_>,
    machines: &mut [Vm],
    schedule: Schedule,
    turns: &mut u64,
) -> Result<(), Error> {
    let mut mailbox = attach(session, machines)?;
    for vm in schedule.into_turns() {
        let machine = &mut machines[vm];
        let TurnEnd { exits, left } = session.turn(machine, *turns + 1, &mut mailbox)?;
        *turns += 1;
        let action = Action::Left { name: machine.name().into(), mailbox: words(&mailbox).into() };
        let vm = machine.vm();
        session.event(&Event::Turn(Turn { turn: *turns, vm, action, exits, from: None, ring: None }))?;
        if left {
            break;
        }
    }
    Ok(())
}

/// Boots the guests. Returns a mailbox of zeros, with the size that all guests' mailboxes have.
fn attach(session: &Session<'_>, machines: &mut [Vm]) -> Result<Vec<u8>, Error> {
    let mut common = None;
    for machine in machines {
        let size = session.attach(machine)?;
        let mut refuse = |refused| Err(session::refuse(machine, None, refused));
        if !(1..=MAX_MESSAGE_SIZE).contains(&size) || !size.is_multiple_of(4) {
            return refuse(Refused::MailboxForm { size });
        }
        match common {
            Some(expected) if expected != size => return refuse(Refused::MailboxSize { size, expected }),
            _ => common = Some(size),
        }
    }
    Ok(vec![0; common.unwrap_or(0) as usize])
}

/// Returns the words of a mailbox.
fn words(mailbox: &[u8]) -> Vec<u32> {
    let words = mailbox.chunks_exact(4).filter_map(|word| word.try_into().ok());
    words.map(u32::from_le_bytes).collect()
}
