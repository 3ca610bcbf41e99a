//! The host's clock: how long this guest has been running.
//!
//! ```ignore
//! let start = Instant::now();
//! work();
//! println!("that took {} us", start.elapsed().as_micros());
//! ```
//!
//! Use it to measure; to be woken after some time there is the [`timer`](crate::timer). It needs no
//! instruction that a CPU or a mode may lack, and goes on while the guest is stopped, in the host or by a
//! debugger. One exit a reading, which is some microseconds in itself: measure what takes longer, or many at
//! a time.
//!
//! No two runs have the same time: a guest that reads a clock gives up that its run can be repeated.

use core::{
    ops::{Add, Sub},
    time::Duration,
};

use guest_abi::block::Clock;

use crate::hypercall;

const NANOSECONDS: u64 = 1_000_000_000;

/// A point in time, as `std::time::Instant` is one: later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Since the guest was started.
    since_start: Duration,
}

impl Instant {
    /// When the guest was started.
    pub const START: Self = Self { since_start: Duration::ZERO };

    /// Now. One exit.
    pub fn now() -> Self {
        Self { since_start: duration(hypercall::clock()) }
    }

    /// The time since then. One exit.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// The time from the other to this; none where the other is later.
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

/// The ticks since this guest was started, which are the host's to count. One exit.
pub fn ticks() -> u64 {
    hypercall::clock().ticks
}

/// The number of ticks in a second; it stays the same while a guest runs. One exit.
pub fn frequency() -> u64 {
    hypercall::clock().frequency
}

/// A reading as a time.
fn duration(Clock { ticks, frequency }: Clock) -> Duration {
    // The host promises that it is not 0.
    let frequency = frequency.max(1);
    let (seconds, rest) = (ticks / frequency, ticks % frequency);
    // Right up to a frequency of 18 GHz.
    let nanoseconds = rest.saturating_mul(NANOSECONDS) / frequency;
    #[expect(clippy::cast_possible_truncation, reason = "it is less than a second's")]
    Duration::new(seconds, nanoseconds as u32)
}
