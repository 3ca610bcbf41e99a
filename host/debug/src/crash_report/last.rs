//! The last instructions of a guest, for the report of its failure.

use std::collections::VecDeque;

/// The number of instructions that are kept beyond those that are shown. A guest that reports its own failure executes
/// some of them after it: the handler of an exception, or the text of a panic.
const BEYOND: usize = 10_000;

/// The last instructions that a guest executed, as lines of a trace.
#[derive(Clone, Debug, Default)]
pub struct LastInstructions {
    /// The number of lines that are shown.
    shown: usize,
    /// The lines, the newest last.
    lines: VecDeque<Executed>,
}

#[derive(Clone, Debug)]
struct Executed {
    /// The address of the instruction, and the address behind it; `None` for a delivery between two instructions.
    range: Option<(u64, u64)>,
    text: String,
}

impl LastInstructions {
    /// The largest number of lines that are shown: more would not be read, and a crash must fit into a line of a log.
    pub const MOST: u16 = 1000;

    /// Keeps the lines of this number of instructions.
    pub fn new(shown: u16) -> Self {
        Self { shown: shown.min(Self::MOST).into(), lines: VecDeque::new() }
    }

    /// Returns true if no lines are kept.
    pub fn are_unwanted(&self) -> bool {
        self.shown == 0
    }

    /// Adds an instruction from its address to the address behind it, or a delivery between two instructions.
    pub fn push(&mut self, range: Option<(u64, u64)>, text: String) {
        if self.are_unwanted() {
            return;
        }
        self.lines.push_back(Executed { range, text });
        if self.lines.len() > self.shown + BEYOND {
            self.lines.pop_front();
        }
    }

    /// Returns the last lines, the newest last. If `place` is the address of one of the instructions, or the address behind
    /// one, that is the newest line. So the lines lead to the call of a function that reports the failure.
    pub(super) fn up_to(&self, place: Option<u64>) -> Vec<String> {
        let leads = |line: &Executed| {
            line.range.is_some_and(|(start, end)| place.is_some_and(|place| place == start || place == end))
        };
        let end = self.lines.iter().rposition(leads).map_or(self.lines.len(), |newest| newest + 1);
        let first = end.saturating_sub(self.shown);
        self.lines.range(first..end).map(|line| line.text.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions of two bytes each, at these addresses.
    fn last(shown: u16, addresses: impl IntoIterator<Item = u64>) -> LastInstructions {
        let mut last = LastInstructions::new(shown);
        addresses.into_iter().for_each(|at| last.push(Some((at, at + 2)), at.to_string()));
        last
    }

    #[test]
    fn the_lines_lead_to_a_place() {
        let last = last(2, [10, 12, 10, 12, 40, 42]);
        assert_eq!(last.up_to(None), ["40", "42"]);
        assert_eq!(last.up_to(Some(12)), ["10", "12"]);
        // The address behind a call, as a backtrace has it.
        assert_eq!(last.up_to(Some(14)), ["10", "12"]);
        assert_eq!(last.up_to(Some(99)), ["40", "42"], "it is not there");
    }

    #[test]
    fn a_bounded_number_of_lines_is_kept() {
        let last = last(3, (0..30_000).map(|at| at * 2));
        assert_eq!(last.lines.len(), 3 + BEYOND);
        assert_eq!(last.up_to(None).len(), 3);
        let mut unwanted = LastInstructions::default();
        unwanted.push(None, String::new());
        assert!(unwanted.are_unwanted() && unwanted.lines.is_empty() && !last.are_unwanted());
    }

    #[test]
    fn a_delivery_is_a_line_and_no_place() {
        let mut last = last(2, [10]);
        last.push(None, "an interrupt comes".into());
        assert_eq!(last.up_to(None), ["10", "an interrupt comes"]);
        assert_eq!(last.up_to(Some(12)), ["10"]);
    }
}
