//! Executes an undefined instruction with no vector table to handle it.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: no vector, and none for the fault that follows: the CPU shuts down here.
    unsafe { core::arch::asm!("lidt [{table}]", "ud2", table = in(reg) &[0_u16; 5], options(noreturn)) }
}
