//! Halts with interrupts off.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: the host ends the guest here; no memory is touched.
    unsafe { core::arch::asm!("hlt", options(nomem, nostack)) }
}
