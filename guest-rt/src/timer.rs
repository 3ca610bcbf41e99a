//! A timer: the host interrupts the guest once, after some time. For what is to happen later, or to end a
//! loop that would take too long; to measure there is the [`clock`](crate::clock).
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
//! One exit to set it, and none that is counted for its interrupt, but for that of
//! [waiting](crate::interrupts::wait). Time is the host's, and no two runs have the same: a guest that sets
//! the timer gives up that its run can be repeated.

use crate::hypercall;

/// Has the interrupt [`Vector::Timer`](crate::traps::Vector::Timer) come once, after this many
/// microseconds or some more; a time that was set before counts no longer. One exit.
///
/// Whether it is waited for with [`interrupts::wait`](crate::interrupts::wait) or comes while the guest
/// runs, with [interrupts enabled](crate::interrupts::enable), is the guest's choice.
pub fn set(microseconds: u32) {
    // 0 is the host's word for never.
    hypercall::timer_set(microseconds.max(1));
}

/// Has it not come any more. One exit.
pub fn cancel() {
    hypercall::timer_set(0);
}
