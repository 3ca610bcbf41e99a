//! Executes an undefined instruction without a vector table.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: there is no vector for this fault or the next one: the CPU shuts down here.
    unsafe { core::arch::asm!("lidt [{table}]", "ud2", table = in(reg) &[0_u16; 5], options(noreturn)) }
}
