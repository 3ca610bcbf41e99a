//! Has a handler that does not leave ECX as it was: whoever is interrupted goes on with another number.

#![no_std]
#![no_main]

use guest_rt::{
    interrupts, timer,
    traps::{self, Trap, Vector},
};

guest_rt::entry!(main);

const ROUNDS: u32 = 20;
const LATER_IN_MICROSECONDS: u32 = 10_000;

fn main() {
    traps::set_handler(Vector::Timer, spoil);
    timer::set(LATER_IN_MICROSECONDS);
    interrupts::enable();
    let sum = sum();
    interrupts::disable();
    assert_eq!(sum, ROUNDS * (ROUNDS + 1) / 2);
}

/// Adds the numbers up to [`ROUNDS`].
fn sum() -> u32 {
    let mut sum = 0_u32;
    // SAFETY: it changes only registers that it names.
    unsafe {
        core::arch::asm!("2:", "add eax, ecx", "dec ecx", "jnz 2b", inout("ecx") ROUNDS => _, inout("eax") sum);
    }
    sum
}

/// Adds 1 to the ECX that the interrupted code gets back.
fn spoil(trap: &mut Trap) {
    /// ECX has number 1, and the registers are saved in reverse order of their numbers.
    const ECX: usize = if cfg!(target_pointer_width = "64") { 14 } else { 6 };
    // SAFETY: a trap begins with the saved registers. That the interrupted code gets another value is this guest's fault.
    unsafe { *(&raw mut *trap).cast::<usize>().wrapping_add(ECX) += 1 };
}
