//! Divides by zero, with no vector table to handle the exception.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: an exception without a vector; the CPU shuts down here.
    unsafe { core::arch::asm!("div {zero:e}", zero = in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _) }
}
