//! A machine after a reset behaves as a new one.

use std::{path::Path, time::Duration};

use crate::common::{self, can_run_guests, image};
use guestlab::{
    engines,
    kvm::Kvm,
    lab::{
        limits::Limits,
        open::read_image,
        session::Watched,
        vm::{Platform, Vm},
    },
    process::watchdog::Watchdog,
    vmm::{ConsoleOutput, Halt, HvaPolicy, Parameters, Request},
};

fn platform() -> Platform {
    engines::open(common::choice(), Path::new(Kvm::DEVICE), false, None).expect("an engine")
}

/// Runs a machine to its next stop. Returns its output and the stop.
fn run(machine: &mut Vm) -> (String, Halt) {
    let limits = Limits::deadline(Duration::from_secs(10));
    let watchdog = Watchdog::start(limits.timeout).expect("a watchdog");
    let registration = watchdog.watch_this_thread(None);
    let mut console = Vec::new();
    let halt = machine
        .run(&Watched(&registration), &limits, &mut |said| {
            if let ConsoleOutput::Text(text) = said {
                console.extend_from_slice(text);
            }
            true
        })
        .expect("the engine runs it");
    drop(registration);
    (common::text(&console), halt)
}

#[test]
fn a_reset_machine_does_what_a_new_one_does() {
    if can_run_guests() {
        let platform = platform();
        for name in [
            "panics",
            "exits-with-7",
            "triple-faults",
            "unknown-port",
            "null-pointer",
            "halts",
            "recovers",
            "timer",
        ] {
            let image = read_image(&image(name), Request::default()).expect("an image");
            let parameters = |seed| Parameters { vm: 1, seed, memory: 0x20_0000, arguments: &[] };
            let new =
                |seed| Vm::new(&platform, &image, parameters(seed), HvaPolicy::Deny).expect("a machine");
            let mut machine = new(1);
            let first = run(&mut machine);
            for seed in [2, 3, 1] {
                machine.reset(&platform, &image, parameters(seed)).expect("a reset");
                assert_eq!(machine.stats().total(), 0);
                let again = run(&mut machine);
                assert_eq!(again, run(&mut new(seed)), "{name}");
                assert!(seed != 1 || again == first, "{name}");
            }
        }
    }
}

#[test]
fn a_reset_machine_remembers_nothing_of_its_last_guest() {
    if can_run_guests() {
        let platform = platform();
        let image = read_image(&image("guest-producer"), Request::default()).expect("an image");
        let parameters = Parameters { vm: 1, seed: 1, memory: 0x20_0000, arguments: &[] };
        let mut machine = Vm::new(&platform, &image, parameters, HvaPolicy::Deny).expect("a machine");
        run(&mut machine);
        assert!(machine.mailbox_size().is_some());
        machine.reset(&platform, &image, parameters).expect("a reset");
        assert_eq!(machine.mailbox_size(), None);
        assert!(machine.read_mailbox(&mut [0; 4]).is_err());
    }
}
