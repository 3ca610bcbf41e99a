//! Shares a lock with the timer's handler, and holds it with interrupts on. A handler that comes then waits for ever: what
//! it interrupted cannot release the lock.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use guest_rt::{
    interrupts, timer,
    traps::{self, Vector},
};

guest_rt::entry!(main);

const ROUNDS: u32 = 20;
const LATER_IN_MICROSECONDS: u32 = 10_000;

static HELD: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU32 = AtomicU32::new(0);

fn main() {
    traps::set_handler(Vector::Timer, |_| count());
    timer::set(LATER_IN_MICROSECONDS);
    interrupts::enable();
    for _ in 0..ROUNDS {
        count();
    }
}

fn count() {
    while HELD.swap(true, Ordering::Acquire) {
        core::hint::spin_loop();
    }
    COUNT.fetch_add(1, Ordering::Relaxed);
    HELD.store(false, Ordering::Release);
}
