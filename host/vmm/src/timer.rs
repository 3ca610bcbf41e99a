//! A guest's timer: one interrupt, after some time.

use std::time::{Duration, Instant};

/// The time of a guest's next interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    due: Option<Instant>,
}

impl Timer {
    /// Sets the time to this many microseconds from now; 0 is never.
    pub fn set(&mut self, microseconds: u32) {
        let after = Duration::from_micros(microseconds.into());
        self.due = if microseconds == 0 { None } else { Instant::now().checked_add(after) };
    }

    /// Returns the time at which the interrupt is due, if one is set.
    pub fn due(self) -> Option<Instant> {
        self.due
    }

    /// Returns true if the interrupt is due now.
    pub fn has_expired(self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_expires_once_its_time_has_passed_unless_it_is_cancelled() {
        let mut timer = Timer::default();
        assert!(!timer.has_expired());
        timer.set(u32::MAX);
        assert!(timer.due().is_some() && !timer.has_expired());
        timer.set(1);
        std::thread::sleep(Duration::from_micros(2));
        assert!(timer.has_expired());
        timer.set(0);
        assert_eq!(timer.due(), None);
    }
}
