//! What a run may take of the host: time, exits, output.

use std::time::Duration;

use crate::lab::log_filter::LogFilter;

/// The limits of one run. Guests' memory is a limit, too, but of each guest: it is made with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The time after which the run ends: its deadline.
    pub timeout: Duration,
    /// The time that a guest may run at a stretch: in a turn, up to its first turn, or, where it runs
    /// alone, at all. What is longer ends the run.
    pub turn_timeout: Option<Duration>,
    /// The number of exits that a VM may cause. The next one ends the run.
    pub max_exits: Option<u64>,
    /// The number of bytes that a guest may print. What is more is dropped, and the run goes on.
    pub max_output: u64,
    /// The records of guests' logs that are output at all.
    pub log: LogFilter,
    /// Whether nothing is told on standard error of calls that fail and do not end the guest.
    pub quiet: bool,
}

impl Limits {
    /// The deadline where nothing else was asked for.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// The most that a guest prints where nothing else was asked for: 16 MiB.
    pub const DEFAULT_MAX_OUTPUT: u64 = 16 << 20;

    /// A deadline, and the defaults of everything else.
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

/// How much a guest has printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    bytes: u64,
    dropped: u64,
}

impl Printed {
    /// Counts a text; returns what of it is within the limit.
    pub fn admit<'a>(&mut self, text: &'a [u8], limit: u64) -> &'a [u8] {
        let room = usize::try_from(limit.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let (admitted, rest) = text.split_at(room.min(text.len()));
        self.bytes += admitted.len() as u64;
        self.dropped += rest.len() as u64;
        admitted
    }

    /// Counts something of `len` bytes that is output whole or not at all; returns whether it is.
    pub fn admit_whole(&mut self, len: u64, limit: u64) -> bool {
        let admitted = len <= limit.saturating_sub(self.bytes);
        *(if admitted { &mut self.bytes } else { &mut self.dropped }) += len;
        admitted
    }

    /// The number of bytes that were beyond the limit.
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
    fn what_is_output_whole_leaves_its_room_to_others_where_there_is_too_little() {
        let mut printed = Printed::default();
        assert!(printed.admit_whole(3, 5));
        assert!(!printed.admit_whole(3, 5));
        assert_eq!((printed.admit(b"de", 5), printed.dropped()), (&b"de"[..], 3));
        assert!(printed.admit_whole(0, 5));
    }
}
