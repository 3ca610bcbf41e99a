//! Counts in `main` and in the timer's handler, without a lock. If the handler comes between the load and the store of
//! `main`, its count is lost.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::{
    hint::black_box,
    sync::atomic::{AtomicU32, Ordering},
};

use guest_rt::{
    interrupts, timer,
    traps::{self, Vector},
};

guest_rt::entry!(main);

const ROUNDS: u32 = 20;
const LATER_IN_MICROSECONDS: u32 = 10_000;

static COUNT: AtomicU32 = AtomicU32::new(0);
static TICKS: AtomicU32 = AtomicU32::new(0);

fn main() {
    traps::set_handler(Vector::Timer, |_| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        TICKS.fetch_add(1, Ordering::Relaxed);
    });
    timer::set(LATER_IN_MICROSECONDS);
    interrupts::enable();
    for _ in 0..ROUNDS {
        let count = black_box(COUNT.load(Ordering::Relaxed));
        COUNT.store(count + 1, Ordering::Relaxed);
    }
    interrupts::disable();
    assert_eq!(COUNT.load(Ordering::Relaxed), ROUNDS + TICKS.load(Ordering::Relaxed));
}
