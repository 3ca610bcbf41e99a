//! Executes an undefined instruction.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: the exception ends the guest here.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
