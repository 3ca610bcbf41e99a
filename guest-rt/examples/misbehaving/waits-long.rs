//! Waits for a timer that is set to one hour.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

guest_rt::entry!(main);

fn main() {
    guest_rt::timer::set(3_600_000_000);
    guest_rt::interrupts::wait();
}
