//! Counts of executed instructions, by address.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use guestlab_cpu::{Coverage, Executions};

/// The bytes of code that share an entry.
const PAGE: usize = 4096;

/// The most entries: 8 MiB of executed code. An entry takes 64 KiB, and the guest chooses the code that it executes.
const MOST_PAGES: usize = 2048;

/// The counts of one instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// The number of executions.
    pub(super) executed: u64,
    /// The number of those that jumped, of a conditional jump.
    pub(super) jumped: u64,
}

/// The counts of all guests of one image.
#[derive(Default)]
pub(super) struct Counts {
    /// The image's code, by address. Other code is not counted.
    code: Vec<Range<u64>>,
    pages: Mutex<BTreeMap<u64, Box<[Count; PAGE]>>>,
}

impl Counts {
    pub(super) fn new(code: Vec<Range<u64>>) -> Self {
        Self { code, pages: Mutex::default() }
    }

    /// Returns the instructions that were executed so far.
    pub(super) fn executed(&self) -> Executed {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = pages.iter().flat_map(|(number, page)| {
            let start = number * PAGE as u64;
            (start..).zip(page.iter()).filter(|(_, count)| count.executed > 0)
        });
        Executed(counts.map(|(address, count)| (address, *count)).collect())
    }

    fn is_code(&self, address: u64) -> bool {
        let behind = self.code.partition_point(|range| range.start <= address);
        behind.checked_sub(1).is_some_and(|index| self.code[index].contains(&address))
    }
}

/// The executed instructions, by address.
pub(super) struct Executed(Vec<(u64, Count)>);

impl Executed {
    /// Returns the counts of the instruction at an address.
    pub(super) fn at(&self, address: u64) -> Count {
        self.within(address..address.saturating_add(1)).first().map_or(Count::default(), |(_, count)| *count)
    }

    /// Returns the executed instructions in a range of addresses.
    pub(super) fn within(&self, range: Range<u64>) -> &[(u64, Count)] {
        let behind = |limit| self.0.partition_point(|(address, _)| *address < limit);
        self.0.get(behind(range.start)..behind(range.end)).unwrap_or(&[])
    }
}

impl Coverage for Counts {
    fn add(&self, code: &[Executions]) {
        // An addition cannot panic in the middle of an entry.
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        for executions in code.iter().filter(|executions| self.is_code(executions.address)) {
            let number = executions.address / PAGE as u64;
            if pages.len() >= MOST_PAGES && !pages.contains_key(&number) {
                continue;
            }
            let page = pages.entry(number).or_insert_with(|| Box::new([Count::default(); PAGE]));
            let count = &mut page[index(executions.address)];
            count.executed = count.executed.saturating_add(executions.count);
            count.jumped = count.jumped.saturating_add(executions.jumped.unwrap_or(0));
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is less than a page")]
fn index(address: u64) -> usize {
    (address % PAGE as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executed(address: u64, count: u64) -> Executions {
        Executions { address, count, jumped: None }
    }

    #[test]
    fn executions_are_added_by_address() {
        let counts = Counts::new(vec![0x1000..0x1004, 0x9000..0x9001]);
        counts.add(&[executed(0x1000, 2), Executions { address: 0x1003, count: 5, jumped: Some(3) }]);
        counts.add(&[executed(0x1000, u64::MAX), executed(0x9000, 1)]);
        let executed = counts.executed();
        let at = |address| executed.at(address);
        assert_eq!(at(0x1000), Count { executed: u64::MAX, jumped: 0 });
        assert_eq!(at(0x1003), Count { executed: 5, jumped: 3 });
        assert_eq!((at(0x9000).executed, at(0x1001).executed), (1, 0));
        let within = |start, end| executed.within(start..end).len();
        assert_eq!((within(0, 0x1003), within(0x1003, 0x1000)), (1, 0));
    }

    #[test]
    fn code_outside_of_the_image_takes_no_memory() {
        let counts = Counts::new(vec![0x1000..0x2000, 0x3000..0x3001]);
        counts.add(&[executed(0xFFF, 1), executed(0x2000, 1), executed(u64::MAX, 1)]);
        assert!(counts.pages.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
    }

    #[test]
    fn an_image_of_any_size_takes_bounded_memory() {
        let counts = Counts::new(vec![0..0x1000, 0x1000..u64::MAX]);
        (0..2 * MOST_PAGES as u64).for_each(|page| counts.add(&[executed(page * PAGE as u64, 1)]));
        let pages = counts.pages.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(pages.len(), MOST_PAGES);
    }
}
