//! A VM's life: the stages of its making, up to the first exit from Rust code; the same again after a
//! reset; and its end. Means of many, one after another.

use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use guest_abi::layout::DEFAULT_MEMORY;
use guestlab::{
    kvm::{EmptyVm, Exit, System},
    lab::{needs::Needs, session::Session},
    output::Silence,
    process::jail::Jail,
    vmm::{
        boot::{Launch, Parameters},
        image::{Image, Request},
        machine::{Machine, Secrets},
    },
};

use super::{Outcome, limits, mean_us, system, values};

const PARAMETERS: Parameters<'_> = Parameters { vm: 1, seed: 1, memory: DEFAULT_MEMORY, arguments: &[] };

/// Times what is done between its calls.
struct Watch(Instant);

impl Watch {
    /// Adds the time since the last call.
    fn lap(&mut self, runner: &mut Duration) {
        let now = Instant::now();
        *runner += now - self.0;
        self.0 = now;
    }
}

/// What the stages took.
#[derive(Default)]
struct Stages {
    create_vm: Duration,
    memory: Duration,
    load: Duration,
    vcpu: Duration,
    first_exit: Duration,
    drop: Duration,
}

/// What the same took by way of a [`Machine`], as commands have it.
#[derive(Default)]
struct Lives {
    started: Duration,
    reset: Duration,
    restarted: Duration,
}

pub(super) fn measure(path: &Path, vms: u32) -> Outcome {
    let system = system()?;
    let image = Image::open(path, Request::default())?;
    let (mut stages, mut lives) = (Stages::default(), Lives::default());
    live_in_stages(&system, &image, &mut Stages::default())?;
    live(&system, &image, &mut Lives::default())?;
    for _ in 0..vms {
        live_in_stages(&system, &image, &mut stages)?;
    }
    for _ in 0..vms {
        live(&system, &image, &mut lives)?;
    }
    let mean = |spent| mean_us(spent, vms.into());
    Ok(values([
        ("create_vm_us", mean(stages.create_vm)),
        ("memory_us", mean(stages.memory)),
        ("load_us", mean(stages.load)),
        ("vcpu_us", mean(stages.vcpu)),
        ("first_exit_us", mean(stages.first_exit)),
        ("drop_us", mean(stages.drop)),
        ("started_us", mean(lives.started)),
        ("reset_us", mean(lives.reset)),
        ("restarted_us", mean(lives.restarted)),
    ]))
}

/// As [`Machine::new`] makes a VM, in the baseline's order.
fn live_in_stages(system: &System, image: &Image, stages: &mut Stages) -> Result<(), Box<dyn Error>> {
    let mut watch = Watch(Instant::now());
    let vm = EmptyVm::new(system)?;
    watch.lap(&mut stages.create_vm);
    let vm = vm.with_memory(system, Launch::memory(image, DEFAULT_MEMORY)?)?;
    watch.lap(&mut stages.memory);
    let launch = Launch::new(vm.memory(), image, PARAMETERS)?;
    watch.lap(&mut stages.load);
    let mut vcpu = vm.with_vcpu(system, launch.cpu)?;
    watch.lap(&mut stages.vcpu);
    let exit = vcpu.run()?;
    watch.lap(&mut stages.first_exit);
    drop(vcpu);
    watch.lap(&mut stages.drop);
    match exit {
        Exit::Out { .. } => Ok(()),
        exit => Err(format!("the guest's first exit is {exit:?}").into()),
    }
}

fn live(system: &System, image: &Image, lives: &mut Lives) -> Result<(), Box<dyn Error>> {
    let mut silence = Silence;
    let session = Session::start(&limits(), &Jail::Open, Needs::default(), &mut silence)?;
    let mut watch = Watch(Instant::now());
    let mut machine = Machine::new(system, image, PARAMETERS, Secrets::Unspoken)?;
    session.attach(&mut machine)?;
    watch.lap(&mut lives.started);
    machine.reset(system, image, PARAMETERS)?;
    let reset = watch.0.elapsed();
    session.attach(&mut machine)?;
    watch.lap(&mut lives.restarted);
    lives.reset += reset;
    Ok(())
}
