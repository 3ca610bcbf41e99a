//! Lets the guests of the images on the command line share one thread. None gives the CPU back: a timer does.

use std::{error::Error, ops::ControlFlow, path::Path, sync::Arc, sync::mpsc, thread, time::Duration};

use guestlab_cpu::{Exit, Kick, Until};
use guestlab_kvm::Kvm;
use guestlab_vmm::{ConsoleOutput, Image, Machine, Never, Parameters, Request, Setup};

const SLICE: Duration = Duration::from_millis(20);
const SLICES: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let setup = Setup::new(Arc::new(Kvm::open(Kvm::DEVICE.as_ref(), None)?));
    let mut machines = Vec::new();
    for (vm, path) in (1..).zip(std::env::args().skip(1)) {
        let image = Image::of_file(Path::new(&path), std::fs::read(&path)?, Request::default())?;
        machines.push(Machine::new(&setup, &image, Parameters { vm, seed: 1, memory: 2 << 20, arguments: &[] })?);
    }
    let (start, starts) = mpsc::channel::<Arc<dyn Kick>>();
    thread::spawn(move || {
        for guest in starts {
            thread::sleep(SLICE);
            guest.kick();
        }
    });
    let mut slices = vec![0; machines.len()];
    for turn in 0..SLICES * machines.len() {
        let now = turn % machines.len();
        start.send(machines[now].cpu().kick())?;
        run_slice(&mut machines[now])?;
        slices[now] += 1;
    }
    for (at, number) in slices.iter().enumerate() {
        println!("VM {}: {number} slices", at + 1);
    }
    Ok(())
}

/// Runs a guest until it is kicked.
fn run_slice(machine: &mut Machine) -> Result<(), Box<dyn Error>> {
    let mut print = |output: ConsoleOutput<'_>| {
        if let ConsoleOutput::Text(text) = output {
            print!("{}", String::from_utf8_lossy(text));
        }
        true
    };
    loop {
        match machine.enter(Until::Exit, &Never, &mut print)? {
            ControlFlow::Continue(Exit::Interrupted) => return Ok(()),
            ControlFlow::Continue(_) => {}
            ControlFlow::Break(halt) => return Err(format!("VM {} stopped: {halt:?}", machine.vm()).into()),
        }
    }
}
