//! Halts with interrupts off and a timer that cannot wake it.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    guest_rt::timer::set(1_000_000);
    // SAFETY: the host ends the guest here; no memory is touched.
    unsafe { core::arch::asm!("hlt", options(nomem, nostack)) }
}
