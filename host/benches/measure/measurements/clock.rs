//! The clock of what this process has had of the machine's CPUs.

use std::{mem::MaybeUninit, time::Duration};

/// The CPU time of this process, its guests' included (clock_gettime(2), `CLOCK_PROCESS_CPUTIME_ID`).
/// On an idle machine it is the time that passes for a thread that does not wait; on a busy one it does
/// not count the time that others had.
pub(super) fn cpu_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the call writes one structure of that type.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, time.as_mut_ptr()) };
    assert_eq!(outcome, 0, "every Linux has this clock");
    // SAFETY: zero is a valid value of it, and the call may have written another.
    let time = unsafe { time.assume_init() };
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
}
