//! One guest that runs alone.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use guest_abi::mode::CpuMode;

use crate::{
    crash::Crash,
    error::Error,
    event::{Event, ExitEvent},
    hypercall::Stop,
    image::{Image, Request},
    kvm::{System, module_name},
    launch::{self, Parameters},
    machine::{Machine, Secrets},
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
    /// The seed of all chance.
    pub seed: u64,
    /// The guest's memory in bytes.
    pub memory: u32,
    /// The time after which the run ends.
    pub timeout: Duration,
    /// Whether the guest is told where the host has its memory.
    pub secrets: Secrets,
    /// Whether the run ends with statistics.
    pub stats: bool,
    /// Whether the run ends with the registers.
    pub dump_regs: bool,
}

/// Runs a guest to its end.
///
/// # Errors
///
/// The image or the machine cannot be used, or the guest did not end well.
pub fn run(system: &System, plan: &Plan, sink: &mut dyn Sink) -> Result<(), Error> {
    let image = open_image(&plan.image, plan.request, plan.memory)?;
    check_mode(system, &image)?;
    let parameters = Parameters { vm: 1, seed: plan.seed, memory: plan.memory };
    let mut machines = [Machine::new(system, &image, parameters, plan.secrets)?];
    let session = Session::start(plan.timeout, sink)?;
    let outcome = run_to_exit(&mut machines[0], &session);
    if let Err(Error::Guest(error)) = &outcome {
        session.event(&Event::Crash(session::crash_event(error)))?;
    }
    if plan.stats {
        session.event(&session::stats_event(&machines))?;
    }
    session.flush()?;
    if plan.dump_regs {
        output::complain(&machines[0].registers()?);
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

/// Opens an image that is to fit into a memory.
///
/// # Errors
///
/// The image cannot be used, or does not fit.
pub fn open_image(path: &Path, request: Request, memory: u32) -> Result<Image, Error> {
    let image = Image::open(path, request)?;
    let end = image.end();
    if end > memory.into() {
        return Err(Error::ImageTooLarge { name: image.name().into(), memory, end });
    }
    Ok(image)
}

/// Refuses an image that runs in a mode that this machine's KVM does not have. 32-bit paging is the
/// one that is missing in places, so that the others are not tried out at every run.
///
/// # Errors
///
/// [`Error::ModeMissing`], or KVM refused to try.
pub fn check_mode(system: &System, image: &Image) -> Result<(), Error> {
    let mode = image.start().mode();
    if mode == CpuMode::Paged && !launch::mode_works(system, mode)? {
        let module = module_name().unwrap_or_else(|| "of unknown kind".into());
        return Err(Error::ModeMissing { mode: mode.name(), module });
    }
    Ok(())
}
