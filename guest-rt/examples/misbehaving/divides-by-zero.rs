//! Divides by zero, without a handler.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: the exception ends the guest here.
    unsafe { core::arch::asm!("div {zero:e}", zero = in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _) }
}
