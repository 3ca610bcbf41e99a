//! Exit statistics: how often a VM left the guest, why, and where the time went.

use std::{collections::BTreeMap, fmt, time::Duration};

use guestlab_cpu::{Direction, Exit, Width};

/// A kind of exit in statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reason {
    /// A write to a port.
    Out(u16, u8),
    /// A read from a port.
    In(u16, u8),
    /// An access where there is no memory.
    Mmio,
    /// `hlt`.
    Halt,
    /// A shutdown of the CPU.
    Shutdown,
    /// A guest state that the hardware refused.
    FailEntry,
    /// An instruction that KVM could not emulate, or another of its errors.
    InternalError,
    /// Anything else.
    Other,
}

impl Reason {
    /// Returns the reason of an exit, or `None` if the guest did not cause it: such exits depend on the clock. A change
    /// of priority has no reason, because not every KVM module exits for it.
    #[inline]
    pub fn of(exit: &Exit) -> Option<Self> {
        let bytes = |width: Width| width as u8;
        Some(match exit {
            Exit::Interrupted | Exit::InterruptWindow | Exit::Priority | Exit::Debug { .. } => return None,
            Exit::Out { port, width, .. } => Self::Out(*port, bytes(*width)),
            Exit::In { port, width, .. } => Self::In(*port, bytes(*width)),
            Exit::Mmio { .. } => Self::Mmio,
            Exit::Halt { .. } => Self::Halt,
            Exit::Shutdown => Self::Shutdown,
            Exit::FailEntry { .. } => Self::FailEntry,
            Exit::InternalError { .. } => Self::InternalError,
            Exit::Other { .. } => Self::Other,
        })
    }

    /// Returns the name of the kind, without port and width.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Out(..) => "io_out",
            Self::In(..) => "io_in",
            Self::Mmio => "mmio",
            Self::Halt => "hlt",
            Self::Shutdown => "shutdown",
            Self::FailEntry => "fail_entry",
            Self::InternalError => "internal_error",
            Self::Other => "other",
        }
    }

    /// Returns port, direction and width in bytes of a port access.
    pub fn port(self) -> Option<(u16, Direction, u8)> {
        match self {
            Self::Out(port, width) => Some((port, Direction::Out, width)),
            Self::In(port, width) => Some((port, Direction::In, width)),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port() {
            Some((port, direction, width)) => {
                let verb = if direction == Direction::In { "in " } else { "out" };
                write!(f, "{verb} {port:#x}, {}-bit", 8 * u32::from(width))
            }
            None => f.write_str(self.kind()),
        }
    }
}

/// The count and the times of one kind of exit. A machine that does not [take times](crate::Setup::times) leaves them 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    /// The number of exits.
    pub count: u64,
    /// The time in the guest before these exits.
    pub guest: Duration,
    /// The time that the host needed to serve them, up to the next entry or the machine's stop.
    pub host: Duration,
}

/// The exits of one VM.
#[derive(Clone, Debug, Default)]
pub struct ExitStats {
    rows: Vec<(Reason, Row)>,
    /// The place of each reason's row.
    index: BTreeMap<Reason, usize>,
    /// The place of the row that was used last: a guest often repeats an exit.
    last: usize,
    total: u64,
}

impl ExitStats {
    /// Counts an exit.
    #[inline]
    pub fn count(&mut self, reason: Reason) {
        self.row(reason).count += 1;
        self.total += 1;
    }

    /// Returns counts without times.
    pub(crate) fn of_counts(counts: &[(Reason, u64)]) -> Self {
        let mut stats = Self::default();
        for &(reason, count) in counts {
            let row = &mut stats.row(reason).count;
            *row = row.saturating_add(count);
            stats.total = stats.total.saturating_add(count);
        }
        stats
    }

    /// Adds the time that the guest ran before an exit.
    pub fn entered(&mut self, reason: Reason, guest: Duration) {
        self.row(reason).guest += guest;
    }

    /// Adds the time that the host took to serve an exit.
    pub fn served(&mut self, reason: Reason, host: Duration) {
        self.row(reason).host += host;
    }

    #[inline]
    fn row(&mut self, reason: Reason) -> &mut Row {
        if self.rows.get(self.last).is_none_or(|&(last, _)| last != reason) {
            self.last = self.place(reason);
        }
        &mut self.rows[self.last].1
    }

    /// Returns the place of a reason's row, which may be new.
    fn place(&mut self, reason: Reason) -> usize {
        *self.index.entry(reason).or_insert_with(|| {
            self.rows.push((reason, Row::default()));
            self.rows.len() - 1
        })
    }

    /// Returns the number of all exits.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the time in the guest, without entries that a signal ended.
    pub fn guest(&self) -> Duration {
        self.rows.iter().map(|(_, row)| row.guest).sum()
    }

    /// Returns the rows, in the order of their reasons.
    pub fn rows(&self) -> impl Iterator<Item = (Reason, Row)> {
        self.index.values().map(|&place| self.rows[place])
    }

    /// Returns the number of exits of each kind. `io_out` and `io_in` are always there, the others only if they happened.
    pub fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        let mut kinds = BTreeMap::from([("io_in", 0), ("io_out", 0)]);
        for (reason, row) in self.rows() {
            *kinds.entry(reason.kind()).or_default() += row.count;
        }
        kinds
    }

    /// Returns the text for port 0xED.
    pub fn text(&self) -> String {
        let kinds = self.by_kind();
        format!("IO in: {}\nIO out: {}\n", kinds["io_in"], kinds["io_out"])
    }
}

/// Returns a time in microseconds, to the nanosecond.
pub fn microseconds(time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is exact for a hundred days")]
    let nanoseconds = time.as_nanos() as f64;
    nanoseconds / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> ExitStats {
        let mut stats = ExitStats::default();
        for reason in [Reason::Out(0xE9, 1), Reason::In(0xEB, 4), Reason::Out(0xE9, 1), Reason::Out(0xEA, 4)]
        {
            stats.count(reason);
            stats.entered(reason, Duration::from_micros(2));
        }
        stats
    }

    #[test]
    fn exits_are_counted_by_port_direction_and_width() {
        let rows: Vec<(String, u64, Duration)> =
            stats().rows().map(|(reason, row)| (reason.to_string(), row.count, row.guest)).collect();
        let us = Duration::from_micros;
        let expected =
            [("out 0xe9, 8-bit", 2, us(4)), ("out 0xea, 32-bit", 1, us(2)), ("in  0xeb, 32-bit", 1, us(2))];
        assert_eq!(rows, expected.map(|(name, count, time)| (name.to_owned(), count, time)));
        assert_eq!(stats().total(), 4);
    }

    #[test]
    fn kinds_and_the_courses_text_sum_them_up() {
        assert_eq!(stats().by_kind(), BTreeMap::from([("io_in", 1), ("io_out", 3)]));
        assert_eq!(stats().text(), "IO in: 1\nIO out: 3\n");
        assert_eq!(ExitStats::default().by_kind(), BTreeMap::from([("io_in", 0), ("io_out", 0)]));
    }

    #[test]
    fn an_interruption_is_not_counted() {
        assert_eq!(Reason::of(&Exit::Interrupted), None);
        assert_eq!(Reason::of(&Exit::InterruptWindow), None);
        assert_eq!(Reason::of(&Exit::Priority), None);
        assert_eq!(Reason::of(&Exit::Halt { interrupts: true }), Some(Reason::Halt));
    }
}
