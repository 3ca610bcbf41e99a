//! Never ends, with interrupts off and a timer set.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

guest_rt::entry!(main);

fn main() {
    guest_rt::timer::set(1);
    loop {
        core::hint::spin_loop();
    }
}
