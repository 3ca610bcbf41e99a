//! A guest's clock: the time since it was started.

use std::time::{Duration, Instant};

use guest_abi::block;
use guestlab_cpu::{Cpu, TICK};

/// The number of ticks in a second: a tick is a nanosecond.
const FREQUENCY: u64 = 1_000_000_000;

/// The clock of a guest. A CPU that counts its time is the clock itself; for all others it is the host's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Returns the clock of a guest that starts now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Returns the clock of a guest that started so long ago. A time before the host's own clock is its beginning.
    pub(crate) fn after(time: Duration) -> Self {
        let now = Instant::now();
        Self { started: now.checked_sub(time).unwrap_or(now) }
    }

    /// Returns the time since the guest was started.
    pub fn now(self, cpu: &dyn Cpu) -> Duration {
        match cpu.ticks() {
            Some(ticks) => Duration::from_nanos(ticks.saturating_mul(TICK)),
            None => self.started.elapsed(),
        }
    }

    /// Returns the host's time at which the guest's time will be `time`, if the host's clock measures it.
    pub(crate) fn instant(self, cpu: &dyn Cpu, time: Duration) -> Option<Instant> {
        match cpu.ticks() {
            Some(_) => None,
            None => self.started.checked_add(time),
        }
    }

    /// Returns the time since the start, as the guest's hypercall returns it.
    pub fn read(self, cpu: &dyn Cpu) -> block::Clock {
        // 64 bits of nanoseconds are five hundred years.
        let ticks = u64::try_from(self.now(cpu).as_nanos()).unwrap_or(u64::MAX);
        block::Clock { ticks, frequency: FREQUENCY }
    }
}

/// Returns a guest's time in the ticks of a CPU that counts them.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.into())).unwrap_or(u64::MAX)
}
