//! Divides by zero repeatedly, with a handler that continues after the division.

#![no_std]
#![no_main]

use guest_rt::{
    println,
    traps::{self, Exception, Trap, Vector},
};

guest_rt::entry!(main);

fn main() {
    traps::set_handler(Vector::Exception(Exception::DivideError), skip);
    for attempt in 1..=3 {
        divide_by_zero();
        println!("still here after division {attempt}");
    }
}

fn divide_by_zero() {
    // SAFETY: `skip` continues after the division, which changes nothing.
    unsafe {
        core::arch::asm!("div ecx", in("ecx") 0, inout("eax") 1 => _, inout("edx") 0 => _);
    }
}

/// Continues after the division; the only one is in [`divide_by_zero`].
fn skip(trap: &mut Trap) {
    println!("a divide error{}", if trap.error_code().is_some() { " with an error code" } else { "" });
    let end = trap.instruction_pointer() + division_size(trap.instruction_pointer());
    // SAFETY: it is the next instruction, and the division changed no register.
    unsafe { trap.set_instruction_pointer(end) };
}

/// Returns the size of the instruction `div ecx` at an address: two bytes
/// (SDM 2A, "DIV"). In 16-bit code a prefix for 32-bit operands adds one.
fn division_size(address: usize) -> usize {
    const OPERAND_SIZE: u8 = 0x66;
    // SAFETY: an instruction of this guest is at that address.
    let first = unsafe { core::ptr::with_exposed_provenance::<u8>(address).read_volatile() };
    if first == OPERAND_SIZE { 3 } else { 2 }
}
