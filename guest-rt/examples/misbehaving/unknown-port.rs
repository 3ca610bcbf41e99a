//! Writes to a port without a hypercall.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: the host ends the guest here; no memory is touched.
    unsafe { core::arch::asm!("out 0x42, eax", in("eax") 1, options(nomem, nostack)) }
}
