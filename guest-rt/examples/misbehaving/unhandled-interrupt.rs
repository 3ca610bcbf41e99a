//! Waits for the timer, without a handler for its interrupt.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

guest_rt::entry!(main);

fn main() {
    guest_rt::timer::set(1000);
    guest_rt::interrupts::wait();
}
