//! The clock of this process's CPU time.

use std::{mem::MaybeUninit, time::Duration};

/// Returns the CPU time of this process, guests included (clock_gettime(2), `CLOCK_PROCESS_CPUTIME_ID`). On a busy machine
/// it does not contain the time of other processes.
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
