//! Panics with a formatted message.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

guest_rt::entry!(main);

fn main() {
    guest_rt::println!("about to panic");
    let vm = guest_rt::boot::info().vm;
    panic!("VM {vm} gives up");
}
