//! Loads a floating-point number through a null pointer. KVM emulates
//! accesses outside memory, and its emulator does not know this instruction.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: the null page has no memory; the read leaves the guest for good.
    unsafe {
        core::arch::asm!("fld tbyte ptr [{null}]", null = in(reg) core::ptr::null::<u8>(), out("st(0)") _)
    }
    guest_rt::println!("loaded");
}
