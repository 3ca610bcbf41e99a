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
    image::Image,
    kvm::System,
    machine::{Machine, Start},
    output::Sink,
    session::{self, Session},
};

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The image.
    pub image: PathBuf,
    /// The mode that it must run in, where one was asked for.
    pub mode: Option<CpuMode>,
    /// The seed of all chance.
    pub seed: u64,
    /// The guest's memory in bytes.
    pub memory: u32,
    /// The time after which the run ends.
    pub timeout: Duration,
}

/// Runs a guest to its end.
///
/// # Errors
///
/// The image or the machine cannot be used, or the guest did not exit with status 0.
pub fn run(system: &System, plan: &Plan, sink: &mut dyn Sink) -> Result<(), Error> {
    let image = open_image(&plan.image, plan.mode, plan.memory)?;
    let start = Start { vm: 1, seed: plan.seed, memory: plan.memory };
    let mut machine = Machine::new(system, &image, start)?;
    let mut session = Session::start(plan.timeout, sink)?;
    let outcome = run_to_exit(&mut machine, &mut session);
    if let Err(Error::Guest(error)) = &outcome {
        session.event(&Event::Crash(session::crash_event(error)))?;
    }
    session.flush()?;
    outcome
}

fn run_to_exit(machine: &mut Machine, session: &mut Session<'_>) -> Result<(), Error> {
    match session.run(machine, None)? {
        Stop::Exited(status) => session.event(&Event::Exit(ExitEvent {
            vm: machine.vm(),
            name: machine.name(),
            status,
            exits: session::exits(machine.exits()),
        })),
        _ => Err(session::refuse(machine, None, Crash::Alone)),
    }
}

/// Opens an image that is to run in a mode and to fit into a memory.
///
/// # Errors
///
/// The image cannot be used, or does not fit.
pub fn open_image(path: &Path, mode: Option<CpuMode>, memory: u32) -> Result<Image, Error> {
    let image = Image::open(path)?;
    if let Some(wanted) = mode
        && wanted != image.mode()
    {
        return Err(Error::Mode { path: path.into(), is: image.mode().name(), wanted: wanted.name() });
    }
    let end = image.extent().end;
    if end > memory.into() {
        return Err(Error::ImageTooLarge { name: image.name().into(), memory, end });
    }
    Ok(image)
}
