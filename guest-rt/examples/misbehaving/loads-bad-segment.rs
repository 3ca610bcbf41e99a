//! Loads a segment register with a selector outside the descriptor table.
//! In real mode any number is a valid selector, and nothing happens.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: the exception ends the guest here; nothing uses GS.
    unsafe { core::arch::asm!("mov gs, {selector:x}", selector = in(reg) 0x1230_u16) }
}
