//! A guest's timer: one interrupt, after some time.

use std::time::{Duration, Instant};

/// When a guest wants to be interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    due: Option<Instant>,
}

impl Timer {
    /// Sets it to this many microseconds from now; 0 is never.
    pub fn set(&mut self, microseconds: u32) {
        let after = Duration::from_micros(microseconds.into());
        self.due = if microseconds == 0 { None } else { Instant::now().checked_add(after) };
    }

    /// When the interrupt is due, if it is to come at all.
    pub fn due(self) -> Option<Instant> {
        self.due
    }

    /// Whether the interrupt is due by now.
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
