//! Jumps to what is no code.

#![no_std]
#![no_main]

guest_rt::entry!(main);

/// The first bytes are those of `ud2`: most others would be some instruction or other.
static DATA: [u8; 4] = [0x0F, 0x0B, 0xFF, 0xFF];

fn main() {
    // SAFETY: the exception ends the guest there.
    unsafe { core::arch::asm!("jmp {data}", data = in(reg) &DATA, options(noreturn)) }
}
