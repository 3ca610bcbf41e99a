//! Subtracts one from a count that is 0: the usual mistake with a ring.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

guest_rt::entry!(main);

fn main() {
    let count = core::hint::black_box(0_u32);
    guest_rt::println!("{} are left", count - 1);
}
