//! The smallest guest: it says hello, and what the host told it.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{boot, println};

guest_rt::entry!(main);

fn main() {
    let info = boot::info();
    println!("hello from VM {}, which has {} KiB of memory", info.vm, info.memory >> 10);
}
