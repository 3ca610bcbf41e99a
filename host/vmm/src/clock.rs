//! A guest's clock: the time since it was started.

use std::time::Instant;

use guest_abi::block;

/// The number of ticks in a second: a tick is a nanosecond.
const FREQUENCY: u64 = 1_000_000_000;

/// The time at which a guest was started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Returns the clock of a guest that starts now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Returns the time since the start, as the guest's hypercall returns it.
    pub fn read(self) -> block::Clock {
        // 64 bits of nanoseconds are five hundred years.
        let ticks = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        block::Clock { ticks, frequency: FREQUENCY }
    }
}
