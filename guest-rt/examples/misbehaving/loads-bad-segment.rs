//! Loads a segment register with a selector that the descriptor table does not have. In real mode,
//! where a selector is a number like any other, nothing happens.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: the exception ends the guest here; nothing uses GS.
    unsafe { core::arch::asm!("mov gs, {selector:x}", selector = in(reg) 0x1230_u16) }
}
