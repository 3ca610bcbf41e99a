//! Forks of one booted machine leave nothing behind. This file has one test, because other tests would change its counts.

mod common;

use std::{fs, sync::Arc};

use common::image;
use guestlab_soft::Soft;
use guestlab_vmm::{Halt, Image, Machine, Never, Parameters, Request, Setup, StopReason};

/// The number of forks, and of those before the counting begins: memory is taken once.
const FORKS: u32 = 10_000;
const FIRST: u32 = 500;

/// The most pages of 4 KiB that the process may have more at the end. A fork that left only its list of pages behind would
/// leave 30,000.
const MOST_PAGES: u64 = 512;

/// The threads, open files and pages of memory of this process.
fn possessions() -> (usize, usize, u64) {
    let count = |folder: &str| fs::read_dir(folder).expect("a folder").count();
    let memory = fs::read_to_string("/proc/self/statm").expect("its memory");
    let pages = memory.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("resident pages");
    (count("/proc/self/task"), count("/proc/self/fd"), pages)
}

/// Runs a machine to its end. Returns what its guest prints.
fn to_its_end(machine: &mut Machine) -> Vec<u8> {
    let mut text = Vec::new();
    let halt = machine.run(&Never, &mut |output| {
        if let guestlab_vmm::ConsoleOutput::Text(bytes) = output {
            text.extend_from_slice(bytes);
        }
        true
    });
    assert_eq!(halt.expect("it runs"), Halt::Stop(StopReason::Exited(0)));
    text
}

#[test]
fn ten_thousand_forks_of_a_booted_machine_leave_nothing_behind() {
    let path = image("hello");
    let bytes = fs::read(&path).expect("an image");
    let image = Image::of_file(&path, bytes, Request::default()).expect("a guest");
    let parameters = Parameters { vm: 1, seed: 1, memory: 2 << 20, arguments: &[] };
    let mut machine = Machine::new(&Setup::new(Arc::new(Soft)), &image, parameters).expect("a machine");
    let text = to_its_end(&mut machine);
    machine.reset(&Setup::new(Arc::new(Soft)), &image, parameters).expect("it starts again");
    // Behind the change of modes, in the midst of the run.
    assert!(machine.run_to(1000, &Never, &mut |_| true).expect("it runs"));
    let mut booted = machine.moment().expect("the interpreter copies its CPU");
    let digest = machine.digest().expect("a state");
    let mut before = possessions();
    for fork in 0..FORKS {
        if fork == FIRST {
            before = possessions();
        }
        machine.return_to(&mut booted);
        let mut own = machine.moment().expect("a fork");
        let rest = to_its_end(&mut machine);
        assert!(text.ends_with(&rest), "{}", String::from_utf8_lossy(&rest));
        // Each goes back to its own beginning, too, which another has not changed.
        machine.return_to(&mut own);
        if fork % 100 == 0 {
            assert_eq!(machine.digest().expect("a state"), digest);
        }
    }
    let (threads, files, pages) = possessions();
    assert_eq!((threads, files), (before.0, before.1));
    assert!(pages <= before.2 + MOST_PAGES, "{} pages before, {pages} after", before.2);
}
