//! Learns from a flag that the timer's handler has come. If the handler comes twice before `main` looks, one of the two is
//! lost: a flag is no count.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use guest_rt::{
    interrupts, timer,
    traps::{self, Vector},
};

guest_rt::entry!(main);

const ROUNDS: u32 = 8;
const LATER_IN_MICROSECONDS: u32 = 10_000;

static HAS_COME: AtomicBool = AtomicBool::new(false);
static TICKS: AtomicU32 = AtomicU32::new(0);

fn main() {
    traps::set_handler(Vector::Timer, |_| {
        HAS_COME.store(true, Ordering::Relaxed);
        TICKS.fetch_add(1, Ordering::Relaxed);
        timer::set(LATER_IN_MICROSECONDS);
    });
    timer::set(LATER_IN_MICROSECONDS);
    interrupts::enable();
    let mut seen = 0;
    for _ in 0..ROUNDS {
        seen += look();
    }
    interrupts::disable();
    seen += look();
    assert_eq!(seen, TICKS.load(Ordering::Relaxed));
}

/// Returns 1 if the handler has come since the last look.
fn look() -> u32 {
    HAS_COME.swap(false, Ordering::Relaxed).into()
}
