//! Interrupts: off and on, and waiting for one.
//!
//! A guest starts with interrupts off, and the one interrupt that the host has for it is that of the
//! [`timer`](crate::timer). While its handler runs, interrupts are off, too. A guest without a timer needs
//! nothing of this; one whose handler shares more than an atomic with the rest uses a [`lock`](crate::lock)
//! rather than turning interrupts off itself. No exit, but for [`wait`].

use core::arch::asm;

use x86_64::registers::rflags::RFlags;

/// Lets interrupts come, from the instruction after the next one on.
pub fn enable() {
    // SAFETY: the vectors are set up (crate::traps), and what handlers may do is safe at any point of
    // the guest. Memory is not left out: a handler may write it.
    unsafe { asm!("sti", options(nostack, preserves_flags)) };
}

/// Lets no interrupt come; what comes nevertheless waits until they are enabled again.
pub fn disable() {
    // SAFETY: touches nothing but the interrupt flag.
    unsafe { asm!("cli", options(nostack, preserves_flags)) };
}

/// Whether interrupts can come.
pub fn are_enabled() -> bool {
    let flags: usize;
    // SAFETY: copies the flags by way of the stack.
    unsafe {
        #[cfg(target_pointer_width = "64")]
        asm!("pushfq", "pop {}", out(reg) flags, options(nomem, preserves_flags));
        #[cfg(not(target_pointer_width = "64"))]
        asm!("pushfd", "pop {}", out(reg) flags, options(nomem, preserves_flags));
    }
    RFlags::from_bits_truncate(flags as u64).contains(RFlags::INTERRUPT_FLAG)
}

/// Calls a function that no interrupt can come between.
pub fn without<T>(function: impl FnOnce() -> T) -> T {
    let enabled = are_enabled();
    disable();
    let result = function();
    if enabled {
        enable();
    }
    result
}

/// Enables interrupts, halts until one has come, and disables them. One exit.
///
/// Call it with interrupts disabled, in a loop that asks whether what the guest waits for has happened:
/// then the interrupt cannot come between the question and the halt. With no timer set, none can come at
/// all, and the host ends the guest.
pub fn wait() {
    // SAFETY: as in `enable`; no interrupt comes between `sti` and `hlt` (SDM 2B, "STI").
    unsafe { asm!("sti", "hlt", "cli", options(nostack, preserves_flags)) };
}
