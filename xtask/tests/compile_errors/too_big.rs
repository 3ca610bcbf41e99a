//! It does not fit into its memory.
//~ error: the guest is too big: image and .bss do not fit into its memory (guest_abi::layout::DEFAULT_MEMORY); make its statics smaller

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU8, Ordering};

guest_rt::entry!(main);

static TABLE: [AtomicU8; 3 << 20] = [const { AtomicU8::new(0) }; 3 << 20];

fn main() {
    let at = TABLE.iter().position(|byte| byte.fetch_add(1, Ordering::Relaxed) > 0);
    guest_rt::println!("{at:?}");
}
