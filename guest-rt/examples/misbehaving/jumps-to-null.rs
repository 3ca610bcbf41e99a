//! Calls a function through a null pointer.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: the null page has no memory, so the CPU
    // fetches no instruction: the host ends the guest here.
    unsafe { core::arch::asm!("call {null}", null = in(reg) core::ptr::null::<u8>()) }
}
