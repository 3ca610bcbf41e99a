//! Never ends and never leaves the guest.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

guest_rt::entry!(main);

fn main() {
    loop {
        core::hint::spin_loop();
    }
}
