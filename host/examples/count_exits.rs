//! Boots an ELF image and counts its exits by kind: `cargo run --example count_exits -- [--soft] IMAGE`.

use std::{error::Error, path::Path, sync::Arc};

use guestlab_cpu::Engine;
use guestlab_kvm::Kvm;
use guestlab_soft::Soft;
use guestlab_vmm::{ConsoleOutput, Image, Machine, Never, Parameters, Request, Setup};

fn main() -> Result<(), Box<dyn Error>> {
    let is_soft = std::env::args().any(|argument| argument == "--soft");
    let path = std::env::args().next_back().ok_or("name an image")?;
    // An engine executes the guest's code. Both have the same trait, so the machine does not know which one it got.
    let engine: Arc<dyn Engine> =
        if is_soft { Arc::new(Soft) } else { Arc::new(Kvm::open(Kvm::DEVICE.as_ref(), None)?) };
    let image = Image::of_file(Path::new(&path), std::fs::read(&path)?, Request::default())?;
    let parameters = Parameters { vm: 1, seed: 1, memory: 2 << 20, arguments: &[] };
    let mut machine = Machine::new(&Setup::new(engine), &image, parameters)?;
    // The library prints nothing itself. This closure receives all that the guest prints.
    let halt = machine.run(&Never, &mut |output| {
        if let ConsoleOutput::Text(text) = output {
            print!("{}", String::from_utf8_lossy(text));
        }
        true
    })?;
    println!("{halt:?}");
    machine.stats().by_kind().iter().for_each(|(kind, count)| println!("{count:6} {kind}"));
    Ok(())
}
