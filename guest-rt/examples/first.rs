//! Prints a line and ends.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{boot, println};

guest_rt::entry!(main);

fn main() {
    println!("hello from VM {}", boot::info().vm);
}
