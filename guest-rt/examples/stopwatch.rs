//! Measures, with the host's clock, the time of a reading and the delay of an interrupt requested in 2 ms.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::time::Duration;

use guest_rt::{
    clock::{self, Instant},
    interrupts, println, timer,
    traps::{self, Vector},
};

guest_rt::entry!(main);

const READINGS: u32 = 100;
const WAIT_IN_MICROSECONDS: u32 = 2000;

fn main() {
    println!("the clock has {} ticks in a second, and shows {}", clock::frequency(), clock::ticks());

    let start = Instant::now();
    (1..READINGS).for_each(|_| _ = Instant::now());
    println!("a reading takes {} ns", (start.elapsed() / READINGS).as_nanos());

    traps::set_handler(Vector::Timer, |_| ());
    let start = Instant::now();
    timer::set(WAIT_IN_MICROSECONDS);
    interrupts::wait();
    let waited = start.elapsed();
    let asked_for = Duration::from_micros(WAIT_IN_MICROSECONDS.into());
    assert!(waited >= asked_for, "the interrupt came after {waited:?}");
    println!("an interrupt asked for in {asked_for:?} came after {waited:?}");
}
