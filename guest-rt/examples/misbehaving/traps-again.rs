//! Raises an exception in the handler of another.

#![no_std]
#![no_main]

use guest_rt::traps::{self, Exception, Trap, Vector};

guest_rt::entry!(main);

fn main() {
    for exception in [Exception::DivideError, Exception::InvalidOpcode] {
        traps::set_handler(Vector::Exception(exception), undefined);
    }
    // SAFETY: the exception ends the guest.
    unsafe { core::arch::asm!("div {zero:e}", zero = in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _) }
}

fn undefined(_: &mut Trap) {
    // SAFETY: the exception ends the guest.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
