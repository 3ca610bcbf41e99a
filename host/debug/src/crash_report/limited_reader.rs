//! Readers with a budget of time, steps and stack. Debug information of a hostile image may be endless, need all memory, or
//! be nested deeper than the stack. These readers report its end when the budget is spent.

use std::{
    borrow::Cow,
    cell::Cell,
    ops::Range,
    time::{Duration, Instant},
};

use addr2line::gimli::{EndianSlice, Error as DwarfError, LittleEndian, Reader, ReaderOffsetId};
use object::ReadRef;

use guestlab_process::stack;

/// The most steps. A step is a read, or one byte of a text. The report of a normal guest takes some ten thousand, that of a
/// deep recursion some hundred thousand.
const MOST_STEPS: u64 = 2 << 20;

/// The most steps for all of a file's debug information. That of a guest takes some hundred thousand.
const MOST_STEPS_OF_FILE: u64 = 1 << 28;

/// The most bytes of stack that the readers' recursion may take.
const MOST_STACK: usize = 512 << 10;

/// The bytes of stack that always remain, for threads with a small stack: the readers need some between two steps.
const LEAST_STACK: usize = 64 << 10;

/// The most time that reading may take, some hundred times the usual. Some work is not a step, for example attributes
/// without a value, and an abbreviation can have a million of those.
const MOST_TIME: Duration = Duration::from_secs(10);

/// The number of steps between two readings of the clock.
const STEPS_A_LOOK: u64 = 64;

/// The rest of the budget.
#[derive(Debug)]
pub(crate) struct Budget {
    steps: Cell<u64>,
    calls: Cell<u64>,
    /// The address that the stack must stay above.
    lowest: usize,
    begun: Instant,
}

impl Budget {
    /// Returns a whole budget. The stack counts from the caller's frame on.
    pub(crate) fn new() -> Self {
        Self::of_steps(MOST_STEPS)
    }

    /// Returns a budget for reading all of a file's debug information.
    pub(crate) fn of_whole_file() -> Self {
        Self::of_steps(MOST_STEPS_OF_FILE)
    }

    fn of_steps(steps: u64) -> Self {
        let (steps, calls) = (Cell::new(steps), Cell::new(0));
        let end = stack::lowest().map_or(0, |lowest| lowest.saturating_add(LEAST_STACK));
        let lowest = stack::pointer().saturating_sub(MOST_STACK).max(end);
        Self { steps, calls, lowest, begun: Instant::now() }
    }

    /// Returns true if nothing is left.
    pub(crate) fn is_spent(&self) -> bool {
        self.steps.get() == 0
    }

    /// Takes this many steps, if they are left.
    fn spend(&self, steps: usize) -> Option<()> {
        let calls = self.calls.get() + 1;
        self.calls.set(calls);
        let late = calls.is_multiple_of(STEPS_A_LOOK) && self.begun.elapsed() > MOST_TIME;
        let deep = stack::pointer() < self.lowest;
        let left = self.steps.get().checked_sub(steps as u64).filter(|_| !late);
        // An exhausted budget stays exhausted: after a long step that failed, a short one must not succeed.
        self.steps.set(left.unwrap_or(0));
        left.filter(|_| !deep).map(drop)
    }
}

/// A file that is read within a budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) budget: &'a Budget,
}

impl<'a> ReadRef<'a> for File<'a> {
    fn len(self) -> Result<u64, ()> {
        ReadRef::len(self.bytes)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        self.budget.spend(1).ok_or(())?;
        self.bytes.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let found = self.bytes.read_bytes_at_until(range.clone(), delimiter);
        let looked_at = found.map_or(range.end.saturating_sub(range.start), |found| found.len() as u64);
        self.budget.spend(usize::try_from(looked_at).unwrap_or(usize::MAX).saturating_add(1)).ok_or(())?;
        found
    }
}

/// A section of debug information that is read within a budget.
#[derive(Clone, Debug)]
pub(crate) struct Section<'a> {
    rest: EndianSlice<'a, LittleEndian>,
    budget: &'a Budget,
}

impl<'a> Section<'a> {
    /// All of a section.
    pub(crate) fn new(bytes: &'a [u8], budget: &'a Budget) -> Self {
        Self { rest: EndianSlice::new(bytes, LittleEndian), budget }
    }

    fn spend(&self, steps: usize) -> Result<(), DwarfError> {
        // For a reader, this is the end of the section.
        self.budget.spend(steps).ok_or_else(|| DwarfError::UnexpectedEof(self.rest.offset_id()))
    }
}

impl Reader for Section<'_> {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.rest.len()
    }

    fn empty(&mut self) {
        self.rest.empty();
    }

    fn truncate(&mut self, len: usize) -> Result<(), DwarfError> {
        self.rest.truncate(len)
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.rest.offset_from(base.rest)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        self.rest.offset_id()
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        self.rest.lookup_offset_id(id)
    }

    fn find(&self, byte: u8) -> Result<usize, DwarfError> {
        let found = Reader::find(&self.rest, byte);
        self.spend(found.unwrap_or(self.rest.len()))?;
        found
    }

    fn skip(&mut self, len: usize) -> Result<(), DwarfError> {
        self.spend(1)?;
        self.rest.skip(len)
    }

    fn split(&mut self, len: usize) -> Result<Self, DwarfError> {
        self.spend(1)?;
        Ok(Self { rest: self.rest.split(len)?, budget: self.budget })
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>, DwarfError> {
        self.spend(1)?;
        self.rest.to_slice()
    }

    fn to_string(&self) -> Result<Cow<'_, str>, DwarfError> {
        self.spend(self.rest.len())?;
        Reader::to_string(&self.rest)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>, DwarfError> {
        self.spend(self.rest.len())?;
        Reader::to_string_lossy(&self.rest)
    }

    fn read_slice(&mut self, buffer: &mut [u8]) -> Result<(), DwarfError> {
        self.spend(1)?;
        Reader::read_slice(&mut self.rest, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exhausted_budget_stays_exhausted() {
        let budget = Budget::new();
        let steps = usize::try_from(MOST_STEPS).expect("a usize");
        assert!(budget.spend(steps - 1).is_some() && budget.spend(2).is_none() && budget.spend(1).is_none());
    }

    #[test]
    fn recursion_ends_before_the_stack_does() {
        fn deeper(budget: &Budget, depth: u32) -> u32 {
            let here = std::hint::black_box([depth; 256]);
            if budget.spend(1).is_none() { here[0] } else { deeper(budget, depth + 1) + here[1] - depth }
        }
        assert!((10..2000).contains(&deeper(&Budget::new(), 0)));
    }

    #[test]
    fn a_search_costs_the_bytes_that_it_reads() {
        let budget = Budget::new();
        let text = vec![b'x'; 1 << 20];
        let section = Section::new(&text, &budget);
        assert!(section.find(0).is_err() && budget.spend(1).is_some());
        let file = File { bytes: &text, budget: &budget };
        assert!(file.read_bytes_at_until(0..1 << 20, 0).is_err() && budget.spend(1).is_none());
    }
}
