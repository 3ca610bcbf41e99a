//! Runs the guests of the images on the command line, one after the other. All draw tickets from one roll, at port 0x30.

use std::{
    error::Error,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use guestlab_cpu::Exit;
use guestlab_kvm::Kvm;
use guestlab_vmm::{ConsoleOutput, Halt, Image, Machine, Never, Parameters, Reply, Request, Setup, StopReason};

fn main() -> Result<(), Box<dyn Error>> {
    let setup = Setup::new(Arc::new(Kvm::open(Kvm::DEVICE.as_ref(), None)?));
    let tickets = Arc::new(AtomicU32::new(0));
    for (vm, path) in (1..).zip(std::env::args().skip(1)) {
        let image = Image::of_file(Path::new(&path), std::fs::read(&path)?, Request::default())?;
        let parameters = Parameters { vm, seed: 1, memory: 2 << 20, arguments: &[] };
        let tickets = Arc::clone(&tickets);
        let mut machine = Machine::new(&setup, &image, parameters)?.with_hypercalls(move |exit, _| match exit {
            Exit::In { port: 0x30, .. } => Some(Reply::Answer(tickets.fetch_add(1, Ordering::Relaxed) + 1)),
            _ => None,
        });
        let halt = machine.run(&Never, &mut |output| {
            if let ConsoleOutput::Text(text) = output {
                print!("{}", String::from_utf8_lossy(text));
            }
            true
        })?;
        if halt != Halt::Stop(StopReason::Exited(0)) {
            return Err(format!("VM {vm}: {halt:?}").into());
        }
    }
    Ok(())
}
