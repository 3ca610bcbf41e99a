//! The experiment with one guest.

use std::path::PathBuf;

use crate::{
    lab::{
        error::Error,
        events,
        instrumentation::Instrumentation,
        limits::Limits,
        needs::Needs,
        open,
        refused::Refused,
        session::{self, Session},
        twins,
        vm::{Platform, Vm},
    },
    output,
    process::jail::Jail,
    runlog::{
        event::{self, Event, Exited},
        sink::{Silence, Sink},
    },
    vmm::{
        HvaPolicy, Parameters, Request, Start, StopReason,
        pc::{self, Base, Pc, Screen},
    },
};

/// The configuration of a run of one guest.
#[derive(Clone, Debug)]
pub struct SingleConfig {
    /// The image.
    pub image: PathBuf,
    /// The requested format, mode and addresses.
    pub request: Request,
    /// The guest's arguments.
    pub arguments: Vec<String>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The guest's memory in bytes.
    pub memory: u32,
    /// The limits of the run.
    pub limits: Limits,
    /// The policy for the hypercall that returns host virtual addresses.
    pub secrets: HvaPolicy,
    /// True if the run ends with statistics.
    pub stats: bool,
    /// The debugger or tracer of the VM.
    pub instrumentation: Instrumentation,
    /// True if a second run is compared with the first at its end.
    pub checks_determinism: bool,
    /// True if the run ends with the registers.
    pub dump_regs: bool,
    /// The settings of a PC's devices, if the guest has them.
    pub pc: Option<pc::Settings>,
}

/// Runs a guest to its end.
///
/// # Errors
///
/// The image or the machine cannot be used, or the guest failed.
pub fn run(system: Platform, jail: &Jail, config: &SingleConfig, sink: &mut dyn Sink) -> Result<(), Error> {
    let image = open::open(&system, &config.image, config.request, config.memory)?;
    if !config.arguments.is_empty() && matches!(image.start(), Start::Direct { .. }) {
        return Err(Error::Usage(
            "arguments after -- reach only guests that are built with guest-rt, and Multiboot kernels as their command line".into(),
        ));
    }
    if config.pc.is_some() && matches!(image.start(), Start::Boot { .. }) {
        return Err(Error::Usage(
            "--pc is for images that are not built with guest-rt; a guest of guest-rt has hypercalls instead of devices"
                .into(),
        ));
    }
    let parameters =
        Parameters { vm: 1, seed: config.seed, memory: config.memory, arguments: &config.arguments };
    let new = || {
        let mut machine = Vm::new(&system, &image, parameters, config.secrets)?;
        let has_screen = machine.is_foreign() && !Screen::is_covered_by(&image, Base::Color);
        if has_screen && config.pc.is_some() {
            Screen::clear(machine.cpu_mut().memory_mut(), Base::Color);
        }
        let machine = machine.with_pc(config.pc.map(|settings| Pc::new(settings, config.memory)));
        Ok::<_, Error>((machine, has_screen))
    };
    let (machine, has_screen) = new()?;
    let second = if config.checks_determinism { Some(new()?.0) } else { None };
    let mut machines = config.instrumentation.attach(&system, vec![machine])?;
    // This closes KVM's device, so that no VM can be created any more.
    drop(system);
    let needs = Needs {
        foreign: image.start().is_foreign(),
        states: config.checks_determinism,
        ..config.instrumentation.needs(&machines)
    };
    let session = Session::start(&config.limits, jail, needs, sink)?;
    session.confine()?;
    let outcome = run_to_exit(&mut machines[0], &session, has_screen);
    let outcome = match second {
        Some(second) => same_again(&mut machines[0], second, outcome, &session),
        None => outcome,
    };
    let outcome = session.conclude(outcome, None, &machines, config.stats);
    if config.dump_regs {
        output::warn_lines(&machines[0].cpu_mut().registers()?.to_string());
    }
    outcome
}

/// Runs a second machine to its end, and compares the two. Returns the outcome of the first.
fn same_again(
    first: &mut Vm,
    mut second: Vm,
    outcome: Result<(), Error>,
    session: &Session<'_>,
) -> Result<(), Error> {
    let again = run_to_exit(&mut second, &session.once_more(&mut Silence), false);
    let outcome = twins::same_end("at the end", outcome, again);
    if matches!(outcome, Ok(()) | Err(Error::Guest(_))) {
        if let Some(found) = twins::difference(first, &mut second)? {
            return Err(twins::differs("at the end", &found));
        }
        output::warn("deterministic: the second run had the same state at its end");
    }
    outcome
}

fn run_to_exit(machine: &mut Vm, session: &Session<'_>, has_screen: bool) -> Result<(), Error> {
    let stop = session.run(machine, None);
    // The registers are shown after any end, except that of the output.
    if has_screen && !matches!(stop, Err(Error::Output(_) | Error::OutputHeld { .. })) {
        tell_screens(machine, session)?;
    }
    let (status, end) = match stop? {
        StopReason::Exited(status) => (status, None),
        StopReason::Halted => (0, None),
        StopReason::Device(end) => (0, Some(end)),
        _ => return Err(session::refuse(machine, None, Refused::Alone)),
    };
    if end == Some(pc::End::Reset) {
        let (vm, name) = (machine.vm(), machine.name());
        output::warn(&format!("VM {vm}, {name}: asked for a reset of the PC; its run ends there"));
    }
    session.event(&Event::Exit(Exited {
        vm: machine.vm(),
        name: machine.name().into(),
        status,
        by: end.map(|end| pc::End::name(end).into()),
        value: end.and_then(pc::End::value),
        exits: events::exits(machine.stats()),
    }))
}

/// Writes the text of the guest's screens, or a note that there is text.
fn tell_screens(machine: &Vm, session: &Session<'_>) -> Result<(), Error> {
    let (vm, name) = (machine.vm(), machine.name());
    let Some(pc) = machine.pc() else {
        if Screen::read_likely(machine.cpu().memory(), Base::Color).is_some() {
            output::warn(&format!(
                "VM {vm}, {name}: wrote text to the screen at {:#x}; --pc shows it",
                Base::Color as u32
            ));
        }
        return Ok(());
    };
    pc.screens(machine.cpu().memory()).into_iter().try_for_each(|Screen { address, lines }| {
        session.event(&Event::Screen(event::Screen { vm, name: name.into(), address, lines }))
    })
}
