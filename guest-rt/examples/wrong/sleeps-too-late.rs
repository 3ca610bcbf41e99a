//! Looks whether the timer's handler has come, and halts if not, with interrupts on all the time. If the handler comes
//! between the look and the halt, nothing wakes the guest any more.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};

use guest_rt::{
    interrupts, timer,
    traps::{self, Vector},
};

guest_rt::entry!(main);

const SOON_IN_MICROSECONDS: u32 = 1000;

static HAS_COME: AtomicBool = AtomicBool::new(false);

fn main() {
    traps::set_handler(Vector::Timer, |_| HAS_COME.store(true, Ordering::Relaxed));
    timer::set(SOON_IN_MICROSECONDS);
    interrupts::enable();
    while !HAS_COME.load(Ordering::Relaxed) {
        interrupts::wait();
        interrupts::enable();
    }
}
