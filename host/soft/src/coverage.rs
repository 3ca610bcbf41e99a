//! Counts of executed code.
//!
//! A block counts its runs as a whole, so that an instruction costs nothing. The counts leave it with the block: when its code
//! is written, when another block needs its place, and when the CPU is dropped.

use alloc::{boxed::Box, vec::Vec};

use guestlab_cpu::{Coverage, Executions};

/// The runs of a block.
pub(crate) struct Runs {
    /// The linear addresses of its instructions.
    addresses: Box<[u64]>,
    /// The last instruction is a conditional jump.
    is_conditional: bool,
    /// The instruction pointer behind the last instruction.
    next: u64,
    /// The number of runs up to the end.
    whole: u64,
    /// The number of those that did not end just behind the last instruction.
    jumped: u64,
    /// The number of runs that ended earlier, by the number of their instructions.
    parts: Vec<(usize, u64)>,
}

impl Runs {
    /// Returns the runs of a block that has not run, whose instructions have these linear addresses. `next` is the instruction
    /// pointer behind the last one.
    pub(crate) fn new(addresses: Box<[u64]>, is_conditional: bool, next: u64) -> Box<Self> {
        Box::new(Self { addresses, is_conditional, next, whole: 0, jumped: 0, parts: Vec::new() })
    }

    /// Counts a run of the first `begun` instructions, after which the instruction pointer is `ip`.
    #[inline]
    pub(crate) fn count(&mut self, begun: usize, ip: u64) {
        if begun == self.addresses.len() {
            self.whole += 1;
            self.jumped += u64::from(ip != self.next);
        } else {
            self.count_part(begun);
        }
    }

    /// Exits end most of these runs, each time at the same instruction.
    fn count_part(&mut self, begun: usize) {
        match self.parts.iter_mut().find(|(len, _)| *len == begun) {
            Some((_, count)) => *count += 1,
            None => self.parts.push((begun, 1)),
        }
    }

    /// Hands the counts on.
    pub(crate) fn flush(&self, coverage: &dyn Coverage) {
        let reached =
            |index| self.parts.iter().filter(|(len, _)| *len > index).map(|(_, count)| count).sum::<u64>();
        let last = self.addresses.len().wrapping_sub(1);
        let executions = self.addresses.iter().enumerate().map(|(index, &address)| Executions {
            address,
            count: self.whole + reached(index),
            jumped: (index == last && self.is_conditional).then_some(self.jumped),
        });
        let executions: Vec<_> = executions.filter(|it| it.count > 0).collect();
        if !executions.is_empty() {
            coverage.add(&executions);
        }
    }
}
