//! Raises an exception with the stack pointer in the guard page. The CPU
//! itself pushes there, unless the mode has another stack for exceptions.

#![no_std]
#![no_main]

use guest_rt::abi::layout::STACK_BOTTOM;

guest_rt::entry!(main);

fn main() {
    // SAFETY: the exception ends the guest; nothing uses the stack any more.
    unsafe {
        core::arch::asm!("mov esp, {stack:e}", "ud2", stack = in(reg) STACK_BOTTOM - 0x100, options(noreturn))
    }
}
