//! What a run may take of the host: time, exits, output.

use std::time::Duration;

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
}

impl Limits {
    /// The deadline where nothing else was asked for.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// The most that a guest prints where nothing else was asked for: 16 MiB.
    pub const DEFAULT_MAX_OUTPUT: u64 = 16 << 20;

    /// A deadline, and the defaults of everything else.
    pub fn deadline(timeout: Duration) -> Self {
        Self { timeout, turn_timeout: None, max_exits: None, max_output: Self::DEFAULT_MAX_OUTPUT }
    }
}

/// How much a guest has printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    bytes: u64,
}

impl Printed {
    /// Counts a text; returns what of it is within the limit.
    pub fn admit<'a>(&mut self, text: &'a [u8], limit: u64) -> &'a [u8] {
        let room = limit.saturating_sub(self.bytes);
        self.bytes = self.bytes.saturating_add(text.len() as u64);
        usize::try_from(room).ok().and_then(|room| text.get(..room)).unwrap_or(text)
    }

    /// The number of bytes that were beyond the limit.
    pub fn dropped(self, limit: u64) -> u64 {
        self.bytes.saturating_sub(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_admitted_up_to_the_limit_and_the_rest_is_counted() {
        let mut printed = Printed::default();
        assert_eq!(printed.admit(b"abc", 5), b"abc");
        assert_eq!((printed.admit(b"de", 5), printed.dropped(5)), (&b"de"[..], 0));
        assert_eq!((printed.admit(b"fgh", 5), printed.dropped(5)), (&b""[..], 3));
        let mut printed = Printed::default();
        assert_eq!((printed.admit(b"abc", 2), printed.dropped(2)), (&b"ab"[..], 1));
        assert_eq!((printed.admit(b"d", u64::MAX), printed.dropped(u64::MAX)), (&b"d"[..], 0));
    }
}
