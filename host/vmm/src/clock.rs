//! A guest's clock: the time since it was started.

use std::time::Instant;

use guest_abi::block;

/// The ticks of a second: a tick is a nanosecond.
const FREQUENCY: u64 = 1_000_000_000;

/// When a guest was started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// The clock of a guest that is started now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// What a guest that asks is told.
    pub fn read(self) -> block::Clock {
        // 64 bits of nanoseconds are five hundred years.
        let ticks = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        block::Clock { ticks, frequency: FREQUENCY }
    }
}
