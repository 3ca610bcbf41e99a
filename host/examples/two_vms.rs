//! A hypervisor with two VMs, a producer and a consumer: `cargo run --example two_vms -- [--soft] [PRODUCER CONSUMER]`.
//!
//! The VMs share no memory. Each guest has a mailbox in its own memory, with a ring in it, and changes the ring in its
//! turn. As this program stands the producer fills its ring, and the consumer never finds an item in its own: only the
//! hypervisor can bring items from one to the other.
//!
//! Next steps:
//!
//! 1. Write `exchange`, so that both guests work on one ring.
//! 2. Check what a guest wrote before the other one gets it: `guest_abi::transition::check` has the rules.
//! 3. Choose the order of turns, for example two of the producer for each of the consumer.
//! 4. Run a third VM.

use std::{error::Error, path::Path, sync::Arc};

use guest_abi::{
    mailbox::{Mailbox, Quota},
    ring::{Capacity, Ring},
};
use guestlab_cpu::Engine;
use guestlab_kvm::Kvm;
use guestlab_soft::Soft;
use guestlab_vmm::{ConsoleOutput, Halt, Image, Machine, Never, Parameters, Request, Setup, StopReason};
use zerocopy::{FromZeros, IntoBytes};

/// The images if the command line names none: `cargo xtask build-guests guest-producer guest-consumer` builds them.
const IMAGES: [&str; 2] = ["target/guests/guest-producer.elf", "target/guests/guest-consumer.elf"];

const TURNS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let (options, named): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let paths = if named.is_empty() { IMAGES.map(String::from).to_vec() } else { named };
    // An engine executes the guests' code: Linux's KVM, or an interpreter that needs no KVM.
    let engine: Arc<dyn Engine> = match options.iter().any(|option| option == "--soft") {
        true => Arc::new(Soft),
        false => Arc::new(Kvm::open(Kvm::DEVICE.as_ref(), None)?),
    };
    let setup = Setup::new(engine);
    let mut vms = Vec::new();
    for (number, path) in (1..).zip(&paths) {
        vms.push(boot(&setup, number, Path::new(path))?);
    }
    for turn in 0..TURNS {
        let (now, next) = (turn % vms.len(), (turn + 1) % vms.len());
        run(&mut vms[now], &StopReason::TurnEnded)?;
        let Mailbox { pointers, .. } = mailbox(&vms[now])?;
        println!("turn {}, VM {}: {pointers:?}", turn + 1, now + 1);
        exchange(&mut vms, now, next)?;
    }
    Ok(())
}

/// Brings the ring from the VM whose turn has ended to the VM whose turn is next.
fn exchange(_vms: &mut [Machine], _from: usize, _to: usize) -> Result<(), Box<dyn Error>> {
    // To do: `mailbox` reads the mailbox of a VM, and `Machine::write_mailbox` writes one into a VM.
    Ok(())
}

/// Creates a VM, runs its guest until it waits for its first turn, and gives it an empty ring.
fn boot(setup: &Setup, vm: u32, path: &Path) -> Result<Machine, Box<dyn Error>> {
    let file = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let image = Image::of_file(path, file, Request::default())?;
    let parameters = Parameters { vm, seed: 1, memory: 2 << 20, arguments: &[] };
    let mut machine = Machine::new(setup, &image, parameters)?;
    run(&mut machine, &StopReason::Attached)?;
    let empty = Mailbox::new(Quota::Random, &Ring::new(Capacity::DEFAULT));
    machine.write_mailbox(empty.as_bytes())?;
    Ok(machine)
}

/// Runs a guest until it stops for this reason. Any other stop is an error.
fn run(machine: &mut Machine, wanted: &StopReason) -> Result<(), Box<dyn Error>> {
    let halt = machine.run(&Never, &mut |output| {
        if let ConsoleOutput::Text(text) = output {
            print!("{}", String::from_utf8_lossy(text));
        }
        true
    })?;
    match halt {
        Halt::Stop(reason) if reason == *wanted => Ok(()),
        other => Err(format!("VM {}: {other:?}", machine.vm()).into()),
    }
}

/// Copies the mailbox of a VM.
fn mailbox(machine: &Machine) -> Result<Mailbox, Box<dyn Error>> {
    let mut mailbox = Mailbox::new_zeroed();
    machine.read_mailbox(mailbox.as_mut_bytes())?;
    Ok(mailbox)
}
