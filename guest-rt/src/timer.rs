//! A timer: the host interrupts the guest once, after some time. Use it for later work, or
//! to end a loop that would take too long. To measure time, use the [`clock`](crate::clock).
//!
//! ```ignore
//! static TICKED: AtomicBool = AtomicBool::new(false);
//!
//! traps::set_handler(Vector::Timer, |_| TICKED.store(true, Ordering::Relaxed));
//! timer::set(1000);
//! while !TICKED.load(Ordering::Relaxed) {
//!     interrupts::wait();
//! }
//! ```
//!
//! Cost: one exit to set it. The interrupt itself does not count as an exit, except
//! that [waiting](crate::interrupts::wait) for it costs one. On KVM no two runs have the
//! same time, so the run of a guest that sets the timer cannot be repeated. On the
//! interpreter it can: its time is [counted](crate::clock), and waiting ends at once.

use crate::hypercall;

/// Requests the interrupt [`Vector::Timer`](crate::traps::Vector::Timer) once, after
/// at least this many microseconds. It replaces a time that was set before. One exit.
///
/// The guest can wait for it with [`interrupts::wait`](crate::interrupts::wait), or be
/// interrupted while it runs, with [interrupts enabled](crate::interrupts::enable).
pub fn set(microseconds: u32) {
    // 0 would cancel the timer.
    hypercall::timer_set(microseconds.max(1));
}

/// Cancels the interrupt. One exit.
pub fn cancel() {
    hypercall::timer_set(0);
}
