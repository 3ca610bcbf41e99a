//! Has a static that is larger than a guest's default memory.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU8, Ordering};

guest_rt::entry!(main);

/// In real mode the linker would refuse it.
const SIZE: usize = if cfg!(guestlab_mode = "real") { 0x1000 } else { 4 << 20 };

static TABLE: [AtomicU8; SIZE] = [const { AtomicU8::new(0) }; SIZE];

fn main() {
    let last = TABLE[SIZE - 1].fetch_add(7, Ordering::Relaxed);
    guest_rt::println!("the last of {SIZE} bytes was {last}");
}
