//! A VM's life: the stages of its creation up to the first exit from Rust code, the same after a reset, and its end. The
//! figures are means of many VMs, one after another.

use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use guest_abi::layout::DEFAULT_MEMORY;
use guestlab::{
    cpu::{Exit, Until},
    lab::{
        needs::Needs,
        open::read_image,
        session::Session,
        vm::{Platform, Vm},
    },
    process::jail::Jail,
    runlog::sink::Silence,
    vmm::{Boot, HvaPolicy, Image, Parameters, Request, create_cpu, memory_layout},
};

use super::{Outcome, limits, mean_us, platform, values};

const PARAMETERS: Parameters<'_> = Parameters { vm: 1, seed: 1, memory: DEFAULT_MEMORY, arguments: &[] };

/// A stopwatch for the time between its calls.
struct Watch(Instant);

impl Watch {
    /// Adds the time since the last call.
    fn lap(&mut self, runner: &mut Duration) {
        let now = Instant::now();
        *runner += now - self.0;
        self.0 = now;
    }
}

/// The times of the stages.
#[derive(Default)]
struct Stages {
    create: Duration,
    load: Duration,
    first_exit: Duration,
    drop: Duration,
}

/// The times of the same stages with a [`Vm`], as commands use it.
#[derive(Default)]
struct Lives {
    started: Duration,
    reset: Duration,
    restarted: Duration,
}

pub(super) fn measure(path: &Path, vms: u32) -> Outcome {
    let platform = platform()?;
    let image = read_image(path, Request::default())?;
    let (mut stages, mut lives) = (Stages::default(), Lives::default());
    live_in_stages(&platform, &image, &mut Stages::default())?;
    live(&platform, &image, &mut Lives::default())?;
    for _ in 0..vms {
        live_in_stages(&platform, &image, &mut stages)?;
    }
    for _ in 0..vms {
        live(&platform, &image, &mut lives)?;
    }
    let mean = |spent| mean_us(spent, vms.into());
    Ok(values([
        ("create_us", mean(stages.create)),
        ("load_us", mean(stages.load)),
        ("first_exit_us", mean(stages.first_exit)),
        ("drop_us", mean(stages.drop)),
        ("started_us", mean(lives.started)),
        ("reset_us", mean(lives.reset)),
        ("restarted_us", mean(lives.restarted)),
    ]))
}

/// Creates a VM as [`Vm::new`] does, stage by stage.
fn live_in_stages(platform: &Platform, image: &Image, stages: &mut Stages) -> Result<(), Box<dyn Error>> {
    let mut watch = Watch(Instant::now());
    let mut cpu = create_cpu(&**platform.engine(image)?, image, memory_layout(image, DEFAULT_MEMORY)?)?;
    watch.lap(&mut stages.create);
    let boot = Boot::new(cpu.memory_mut(), image, PARAMETERS)?;
    cpu.set_state(&boot.cpu)?;
    watch.lap(&mut stages.load);
    let exit = cpu.run(Until::Exit)?;
    watch.lap(&mut stages.first_exit);
    drop(cpu);
    watch.lap(&mut stages.drop);
    match exit {
        Exit::Out { .. } => Ok(()),
        exit => Err(format!("the guest's first exit is {exit:?}").into()),
    }
}

fn live(platform: &Platform, image: &Image, lives: &mut Lives) -> Result<(), Box<dyn Error>> {
    let mut silence = Silence;
    let session = Session::start(&limits(), &Jail::Open, Needs::default(), &mut silence)?;
    let mut watch = Watch(Instant::now());
    let mut machine = Vm::new(platform, image, PARAMETERS, HvaPolicy::DenySilently)?;
    session.attach(&mut machine)?;
    watch.lap(&mut lives.started);
    machine.reset(platform, image, PARAMETERS)?;
    let reset = watch.0.elapsed();
    session.attach(&mut machine)?;
    watch.lap(&mut lives.restarted);
    lives.reset += reset;
    Ok(())
}
