//! The time since this guest was started.
//!
//! ```ignore
//! let start = Instant::now();
//! work();
//! println!("that took {} us", start.elapsed().as_micros());
//! ```
//!
//! Use it to measure time. To be woken after some time, use the [`timer`](crate::timer).
//! The clock needs no special CPU instruction. Each reading costs one exit, which takes
//! some microseconds. Measure longer work, or many repetitions at once.
//!
//! On KVM the clock is the host's. It also counts the time while the guest is stopped, in the
//! host or by a debugger. No two runs have the same time, so the run of a guest that reads the
//! clock cannot be repeated. The interpreter counts: an instruction takes 10 ns, and the host
//! takes no time. There every run can be repeated.

use core::{
    ops::{Add, Sub},
    time::Duration,
};

use guest_abi::block::Clock;

use crate::hypercall;

const NANOSECONDS: u64 = 1_000_000_000;

/// A point in time, like `std::time::Instant`: later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// The time since the guest was started.
    since_start: Duration,
}

impl Instant {
    /// The moment when the guest was started.
    pub const START: Self = Self { since_start: Duration::ZERO };

    /// Returns the current time. One exit.
    pub fn now() -> Self {
        Self { since_start: duration(hypercall::clock()) }
    }

    /// Returns the time that has passed since this moment. One exit.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Returns the time from `earlier` to this moment, or zero if `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        self.since_start.saturating_sub(earlier.since_start)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self { since_start: self.since_start.saturating_add(duration) }
    }
}

/// Returns the host's count of ticks since this guest was started. One exit.
pub fn ticks() -> u64 {
    hypercall::clock().ticks
}

/// Returns the number of ticks per second, which is constant while a guest runs. One exit.
pub fn frequency() -> u64 {
    hypercall::clock().frequency
}

/// Converts a reading to a duration.
fn duration(Clock { ticks, frequency }: Clock) -> Duration {
    // The host promises a value above 0; a wrong host must not cause a division by zero.
    let frequency = frequency.max(1);
    let (seconds, rest) = (ticks / frequency, ticks % frequency);
    // Exact for frequencies up to 18 GHz.
    let nanoseconds = rest.saturating_mul(NANOSECONDS) / frequency;
    #[expect(clippy::cast_possible_truncation, reason = "it is less than a second's")]
    Duration::new(seconds, nanoseconds as u32)
}
