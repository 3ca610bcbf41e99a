//! One guest that runs alone.

use std::path::PathBuf;

use crate::{
    admission,
    crash::Crash,
    error::Error,
    event::{Event, ExitEvent},
    hypercall::Stop,
    image::{Request, Start},
    jail::Jail,
    kvm::System,
    launch::Parameters,
    limits::Limits,
    machine::{Machine, Secrets},
    observe::Observe,
    output::{self, Sink},
    session::{self, Session},
};

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The image.
    pub image: PathBuf,
    /// What was asked for of it.
    pub request: Request,
    /// What the guest is started with.
    pub arguments: Vec<String>,
    /// The seed of all chance.
    pub seed: u64,
    /// The guest's memory in bytes.
    pub memory: u32,
    /// What the run may take.
    pub limits: Limits,
    /// Whether the guest is told where the host has its memory.
    pub secrets: Secrets,
    /// Whether the run ends with statistics.
    pub stats: bool,
    /// Who looks on.
    pub observe: Observe,
    /// Whether the run ends with the registers.
    pub dump_regs: bool,
}

/// Runs a guest to its end.
///
/// # Errors
///
/// The image or the machine cannot be used, or the guest did not end well.
pub fn run(system: System, jail: &Jail, plan: &Plan, sink: &mut dyn Sink) -> Result<(), Error> {
    let image = admission::open(&system, &plan.image, plan.request, plan.memory)?;
    if !plan.arguments.is_empty() && matches!(image.start(), Start::Direct { .. }) {
        return Err(Error::Usage(
            "arguments after -- reach only guests that are built with guest-rt, and Multiboot kernels as their command line".into(),
        ));
    }
    let parameters = Parameters { vm: 1, seed: plan.seed, memory: plan.memory, arguments: &plan.arguments };
    let machine = Machine::new(&system, &image, parameters, plan.secrets)?;
    let mut machines = plan.observe.attach(&system, vec![machine])?;
    // No VM is to be made any more: KVM's device is closed.
    drop(system);
    let session = Session::start(&plan.limits, jail, plan.observe.needs(), sink)?;
    session.confine()?;
    let outcome = run_to_exit(&mut machines[0], &session);
    let outcome = session.conclude(outcome, None, &machines, plan.stats);
    if plan.dump_regs {
        output::complain_lines(&machines[0].registers()?);
    }
    outcome
}

fn run_to_exit(machine: &mut Machine, session: &Session<'_>) -> Result<(), Error> {
    let status = match session.run(machine, None)? {
        Stop::Exited(status) => status,
        Stop::Halted => 0,
        _ => return Err(session::refuse(machine, None, Crash::Alone)),
    };
    session.event(&Event::Exit(ExitEvent {
        vm: machine.vm(),
        name: machine.name(),
        status,
        exits: session::exits(machine.stats()),
    }))
}
