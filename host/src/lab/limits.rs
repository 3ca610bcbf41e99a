//! Limits of a run: time, exits, output.

use std::time::Duration;

use crate::lab::log_filter::LogFilter;

/// The limits of one run. The size of a guest's memory is not here, but with each guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The deadline of the run.
    pub timeout: Duration,
    /// The time limit of a turn, of a guest's start, and of a guest that runs alone. A longer one ends the run.
    pub turn_timeout: Option<Duration>,
    /// The number of exits that a VM may cause. One more ends the run.
    pub max_exits: Option<u64>,
    /// The number of bytes that a guest may print. More are dropped, and the run goes on.
    pub max_output: u64,
    /// The records of guests' logs that are shown.
    pub log: LogFilter,
    /// True if failed hypercalls that do not end the guest are not reported on standard error.
    pub quiet: bool,
}

impl Limits {
    /// The default deadline.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// The default limit of a guest's output: 16 MiB.
    pub const DEFAULT_MAX_OUTPUT: u64 = 16 << 20;

    /// Returns limits with this deadline, and defaults otherwise.
    pub fn deadline(timeout: Duration) -> Self {
        Self {
            timeout,
            turn_timeout: None,
            max_exits: None,
            max_output: Self::DEFAULT_MAX_OUTPUT,
            log: LogFilter::default(),
            quiet: false,
        }
    }
}

/// The amount of a guest's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    bytes: u64,
    dropped: u64,
}

impl Printed {
    /// Counts a text, and returns its part within the limit.
    pub fn admit<'a>(&mut self, text: &'a [u8], limit: u64) -> &'a [u8] {
        let room = usize::try_from(limit.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let (admitted, rest) = text.split_at(room.min(text.len()));
        self.bytes += admitted.len() as u64;
        self.dropped += rest.len() as u64;
        admitted
    }

    /// Counts an item of `len` bytes that is output whole or not at all. Returns true if it fits.
    pub fn admit_whole(&mut self, len: u64, limit: u64) -> bool {
        let admitted = len <= limit.saturating_sub(self.bytes);
        *(if admitted { &mut self.bytes } else { &mut self.dropped }) += len;
        admitted
    }

    /// Returns the number of bytes beyond the limit.
    pub fn dropped(self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_admitted_up_to_the_limit_and_the_rest_is_counted() {
        let mut printed = Printed::default();
        assert_eq!(printed.admit(b"abc", 5), b"abc");
        assert_eq!((printed.admit(b"de", 5), printed.dropped()), (&b"de"[..], 0));
        assert_eq!((printed.admit(b"fgh", 5), printed.dropped()), (&b""[..], 3));
        let mut printed = Printed::default();
        assert_eq!((printed.admit(b"abc", 2), printed.dropped()), (&b"ab"[..], 1));
        let mut printed = Printed::default();
        assert_eq!((printed.admit(b"d", u64::MAX), printed.dropped()), (&b"d"[..], 0));
    }

    #[test]
    fn whole_items_yield_space_to_others_when_output_is_limited() {
        let mut printed = Printed::default();
        assert!(printed.admit_whole(3, 5));
        assert!(!printed.admit_whole(3, 5));
        assert_eq!((printed.admit(b"de", 5), printed.dropped()), (&b"de"[..], 3));
        assert!(printed.admit_whole(0, 5));
    }
}
