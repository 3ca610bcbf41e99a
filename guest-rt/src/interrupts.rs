//! Interrupts: functions to disable them, enable them, and wait for one.
//!
//! A guest starts with interrupts off. The host has one interrupt for it: that of the
//! [`timer`](crate::timer). Interrupts are off while its handler runs. A guest without a
//! timer does not need this module. To share more than an atomic with a handler, use a
//! [`lock`](crate::lock) instead of disabling interrupts. Only [`wait`] costs an exit.

use core::arch::asm;

use x86_64::registers::rflags::RFlags;

/// Enables interrupts, from the instruction after the next one on.
pub fn enable() {
    // SAFETY: the vectors are set up (crate::traps), and handlers may run at any point of
    // the guest. The assembly does not claim `nomem`, because a handler may write memory.
    unsafe { asm!("sti", options(nostack, preserves_flags)) };
}

/// Disables interrupts; a pending one waits until they are enabled again.
pub fn disable() {
    // SAFETY: changes only the interrupt flag.
    unsafe { asm!("cli", options(nostack, preserves_flags)) };
}

/// Returns true if interrupts are enabled.
pub fn are_enabled() -> bool {
    let flags: usize;
    // SAFETY: copies the flags through the stack.
    unsafe {
        #[cfg(target_pointer_width = "64")]
        asm!("pushfq", "pop {}", out(reg) flags, options(nomem, preserves_flags));
        #[cfg(not(target_pointer_width = "64"))]
        asm!("pushfd", "pop {}", out(reg) flags, options(nomem, preserves_flags));
    }
    RFlags::from_bits_truncate(flags as u64).contains(RFlags::INTERRUPT_FLAG)
}

/// Calls a function with interrupts disabled.
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
/// Call it with interrupts disabled, in a loop that tests the condition.
/// Then no interrupt can come between the test and the halt. If no timer
/// is set, no interrupt can come at all, and the host ends the guest.
pub fn wait() {
    // SAFETY: as in `enable`; no interrupt comes between `sti` and `hlt` (SDM 2B, "STI").
    unsafe { asm!("sti", "hlt", "cli", options(nostack, preserves_flags)) };
}
