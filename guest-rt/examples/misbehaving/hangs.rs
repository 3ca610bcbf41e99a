//! Ends its first turn, and no other.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::ring::RingMailbox;

guest_rt::entry!(main);

fn main() {
    RingMailbox::attach().end_turn();
    loop {
        core::hint::spin_loop();
    }
}
