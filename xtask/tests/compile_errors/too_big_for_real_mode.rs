//! It does not fit below 64 KiB, where 16-bit code reaches.
//~ error: the guest is too big for real mode: image and .bss do not end below 64 KiB; make it smaller, or build it for another mode

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU8, Ordering};

guest_rt::entry!(main);

static TABLE: [AtomicU8; 1 << 16] = [const { AtomicU8::new(0) }; 1 << 16];

fn main() {
    let at = TABLE.iter().position(|byte| byte.fetch_add(1, Ordering::Relaxed) > 0);
    guest_rt::println!("{at:?}");
}
