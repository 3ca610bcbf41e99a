//! Hypercalls of a user's own.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use guest_abi::mode::CpuMode;
use guestlab_cpu::Exit;
use guestlab_soft::Soft;
use guestlab_vmm::{Halt, Image, ImageFormat, Machine, Never, Parameters, Reply, Request, Setup, StopReason};

/// Returns an image of 32-bit code.
fn image(code: &[u8]) -> Image {
    let (format, mode) = (Some(ImageFormat::Flat), Some(CpuMode::Protected));
    let request = Request { format, mode, load: Some(0x1000), entry: None };
    Image::parse("x", code.into(), request).expect("an image")
}

const PARAMETERS: Parameters<'_> = Parameters { vm: 1, seed: 1, memory: 1 << 20, arguments: &[] };

#[test]
fn they_stay_when_a_machine_is_reset_after_a_crash() {
    let (setup, calls) = (Setup::new(Arc::new(Soft)), Arc::new(AtomicU32::new(0)));
    // `out 0x30, al`, `ud2`.
    let image = image(&[0xE6, 0x30, 0x0F, 0x0B]);
    let counter = Arc::clone(&calls);
    let machine = Machine::new(&setup, &image, PARAMETERS).expect("it fits");
    let mut machine = machine.with_hypercalls(move |exit, _| {
        let Exit::Out { port: 0x30, .. } = exit else { return None };
        counter.fetch_add(1, Ordering::Relaxed);
        Some(Reply::Resume)
    });
    for runs in [1, 2] {
        let halt = machine.run(&Never, &mut |_| true).expect("it runs");
        assert!(matches!(halt, Halt::Interruption(_)), "{halt:?}");
        assert_eq!(calls.load(Ordering::Relaxed), runs);
        machine.reset(&setup, &image, PARAMETERS).expect("it fits");
    }
}

#[test]
fn they_come_before_those_of_the_library_and_can_end_the_guest() {
    // `out 0xE9, al` (print a byte).
    let machine = Machine::new(&Setup::new(Arc::new(Soft)), &image(&[0xE6, 0xE9]), PARAMETERS);
    let mut machine =
        machine.expect("it fits").with_hypercalls(|_, _| Some(Reply::Stop(StopReason::Exited(7))));
    let halt = machine.run(&Never, &mut |_| panic!("the guest prints nothing")).expect("it runs");
    assert_eq!(halt, Halt::Stop(StopReason::Exited(7)));
}
