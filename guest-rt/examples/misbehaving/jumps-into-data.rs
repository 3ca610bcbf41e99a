//! Jumps into data.

#![no_std]
#![no_main]

guest_rt::entry!(main);

/// The first bytes are `ud2`; most other bytes would be some valid instruction.
static DATA: [u8; 4] = [0x0F, 0x0B, 0xFF, 0xFF];

fn main() {
    // SAFETY: the exception ends the guest there.
    unsafe { core::arch::asm!("jmp {data}", data = in(reg) &DATA, options(noreturn)) }
}
