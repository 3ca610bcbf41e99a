//! Takes slots of a table in turn, in `main` and in the timer's handler. The handler forgets that the first slot comes
//! after the last one, and `main` panics later: when the report is printed, the cause is in the past.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use guest_rt::{
    interrupts, timer,
    traps::{self, Vector},
};

guest_rt::entry!(main);

const SLOTS: u32 = 8;
const PERIOD_IN_MICROSECONDS: u32 = 1000;

/// The next slot.
static SLOT: AtomicU32 = AtomicU32::new(0);

fn main() {
    traps::set_handler(Vector::Timer, |_| tick());
    timer::set(PERIOD_IN_MICROSECONDS);
    interrupts::enable();
    let mut table = [0_u32; SLOTS as usize];
    for item in 0.. {
        let slot = SLOT.load(Ordering::Relaxed);
        table[slot as usize] = work(item);
        SLOT.store((slot + 1) % SLOTS, Ordering::Relaxed);
    }
}

/// Takes longer for some items.
fn work(item: u32) -> u32 {
    (0..item % 10).fold(item, |sum, more| core::hint::black_box(sum + more))
}

fn tick() {
    let slot = SLOT.load(Ordering::Relaxed);
    SLOT.store(slot + 1, Ordering::Relaxed);
    timer::set(PERIOD_IN_MICROSECONDS);
}
