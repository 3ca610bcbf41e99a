//! Waits for three interrupts of the timer with the CPU halted, and for a fourth in a busy loop.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use guest_rt::{
    interrupts, println, timer,
    traps::{self, Vector},
};

guest_rt::entry!(main);

const PERIOD_IN_MICROSECONDS: u32 = 10_000;

/// The number of interrupts so far.
static TICKS: AtomicU32 = AtomicU32::new(0);

fn main() {
    traps::set_handler(Vector::Timer, |_| {
        TICKS.fetch_add(1, Ordering::Relaxed);
    });
    for tick in 1..=3 {
        timer::set(PERIOD_IN_MICROSECONDS);
        while TICKS.load(Ordering::Relaxed) < tick {
            interrupts::wait();
        }
        println!("tick {tick}");
    }

    timer::set(PERIOD_IN_MICROSECONDS);
    interrupts::enable();
    while TICKS.load(Ordering::Relaxed) < 4 {
        core::hint::spin_loop();
    }
    println!("tick 4, in the middle of a loop");
}
