//! The limits of a machine from outside: the reason to stop, and the time of the next interruption.

use std::time::Instant;

/// A watch over a machine that runs. The thread that runs the machine calls it.
pub trait Stop {
    /// Returns the reason why the machine must stop now, if there is one.
    fn expiry(&self) -> Option<Expiry>;

    /// Sets the time at which [`Cpu::run`](guestlab_cpu::Cpu::run) must be interrupted; `None` is never. It replaces the
    /// time that was set before.
    fn set_alarm(&self, alarm: Option<Instant>);

    /// Sleeps until `then`, or until there is an expiry.
    fn sleep_until(&self, then: Instant);
}

/// The reason why a machine's time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The process is to end.
    Process,
    /// The run's time is up.
    Run,
    /// The turn's time is up.
    Turn,
}

/// No limits: a machine runs until its guest stops. A guest that uses its timer needs an implementation with alarms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl Stop for Never {
    fn expiry(&self) -> Option<Expiry> {
        None
    }

    fn set_alarm(&self, _: Option<Instant>) {}

    fn sleep_until(&self, then: Instant) {
        std::thread::sleep(then.saturating_duration_since(Instant::now()));
    }
}
