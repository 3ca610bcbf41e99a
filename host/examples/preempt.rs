//! Lets two guests that loop for ever share one thread: `cargo run --example preempt -- [--soft]`.
//!
//! Neither guest gives the CPU back. A clock thread kicks the running guest every 5 ms, and the next guest gets its
//! time slice: round robin, as a simple kernel schedules processes.

mod common;

use std::{
    error::Error,
    ops::ControlFlow,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use guestlab_cpu::{Exit, Kick, Until};
use guestlab_vmm::{Halt, Machine, Never, Parameters, Setup};

const SLICE: Duration = Duration::from_millis(5);
const SLICES: u32 = 10;

/// The address of the guest's counter.
const COUNTER: u64 = 0x2000;
/// `again: inc dword [0x2000]`, `jmp again`.
const CODE: &[u8] = &[0xFF, 0x05, 0x00, 0x20, 0, 0, 0xEB, 0xF8];

fn main() -> Result<(), Box<dyn Error>> {
    let setup = Setup::new(common::engine()?);
    let image = common::image_or("counter", CODE)?;
    let machine = |vm| {
        let parameters = Parameters { vm, seed: 1, memory: 1 << 20, arguments: &[] };
        Machine::new(&setup, &image, parameters)
    };
    let mut machines = [machine(1)?, machine(2)?];
    let (running, clock) = mpsc::channel::<Arc<dyn Kick>>();
    thread::spawn(move || {
        for guest in clock {
            thread::sleep(SLICE);
            guest.kick();
        }
    });
    for slice in 0..2 * SLICES {
        let machine = &mut machines[slice as usize % 2];
        // The kick can come before the guest has entered. It is not lost: the next entry returns at once.
        running.send(machine.cpu().kick())?;
        if let Some(halt) = run_slice(machine)? {
            println!("VM {} stopped: {halt:?}", machine.vm());
            break;
        }
    }
    for machine in &machines {
        let mut counter = [0; 4];
        machine.cpu().memory().read(COUNTER, &mut counter)?;
        println!("VM {} counted to {}", machine.vm(), u32::from_le_bytes(counter));
    }
    println!("{SLICES} time slices for each VM");
    Ok(())
}

/// Runs a guest until its slice is over. Returns the halt if the guest stopped before that.
fn run_slice(machine: &mut Machine) -> Result<Option<Halt>, Box<dyn Error>> {
    loop {
        match machine.enter(Until::Exit, &Never, &mut common::print)? {
            ControlFlow::Continue(Exit::Interrupted) => return Ok(None),
            // A hypercall was served. The guest still has its slice.
            ControlFlow::Continue(_) => {}
            ControlFlow::Break(halt) => return Ok(Some(halt)),
        }
    }
}
