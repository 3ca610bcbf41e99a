//! A guest's timer: one interrupt, after some time.

use std::time::Duration;

/// The time of a guest's next interrupt, counted from the guest's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    due: Option<Duration>,
}

impl Timer {
    /// Sets the time to this many microseconds from now; 0 is never.
    pub fn set(&mut self, now: Duration, microseconds: u32) {
        let after = Duration::from_micros(microseconds.into());
        self.due = if microseconds == 0 { None } else { now.checked_add(after) };
    }

    /// Returns a timer that is due at this time, if any.
    pub(crate) fn at(due: Option<Duration>) -> Self {
        Self { due }
    }

    /// Returns the time at which the interrupt is due, if one is set.
    pub fn due(self) -> Option<Duration> {
        self.due
    }

    /// Returns true if the interrupt is due now.
    pub fn has_expired(self, now: Duration) -> bool {
        self.due.is_some_and(|due| due <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_expires_once_its_time_has_passed_unless_it_is_cancelled() {
        let (mut timer, now) = (Timer::default(), Duration::from_secs(7));
        assert!(!timer.has_expired(now));
        timer.set(now, u32::MAX);
        assert!(timer.due().is_some() && !timer.has_expired(now));
        timer.set(now, 1);
        let due = now + Duration::from_micros(1);
        assert!(timer.has_expired(due) && !timer.has_expired(due - Duration::from_nanos(1)));
        timer.set(now, 0);
        assert_eq!(timer.due(), None);
    }
}
