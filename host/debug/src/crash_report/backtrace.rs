//! The calls that led to an instruction, by frame pointers.
//!
//! A function begins with `push bp; mov bp, sp`: the caller's frame pointer lies at the frame pointer, and the return
//! address above it. All of this is guest memory, which is not trusted: each frame must lie above the last one, and return
//! addresses must lie in the image. Otherwise the walk ends.

/// The most calls that are walked.
const MOST_CALLS: usize = 1024;

/// The start of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The linear address of the instruction.
    pub(super) instruction: u64,
    /// The linear address of the top of the stack.
    pub(super) stack: u64,
    /// The frame pointer, as a linear address.
    pub(super) frame: u64,
    /// The size of an address on the stack in bytes, 4 or 8.
    pub(super) word: u64,
}

/// Returns the return addresses, the innermost first. `read` returns a word of the guest's memory, if there is one;
/// `is_code` returns true for addresses in the image.
pub(super) fn callers(
    start: Start,
    read: impl Fn(u64) -> Option<u64>,
    is_code: impl Fn(u64) -> bool,
) -> Vec<u64> {
    let mut callers = Vec::new();
    if !is_code(start.instruction) {
        // A call to a wrong address: the return address is pushed, and there is no frame yet.
        callers.extend(read(start.stack).filter(|&address| is_code(address)));
    }
    let mut frame = start.frame;
    let mut above = start.stack;
    while callers.len() < MOST_CALLS && frame >= above {
        let Some(address) = frame.checked_add(start.word).and_then(&read).filter(|&address| is_code(address))
        else {
            break;
        };
        callers.push(address);
        // The next frame must lie above this one's two words, so that the walk cannot go in circles.
        let (Some(next), Some(end)) = (read(frame), frame.checked_add(2 * start.word)) else { break };
        (frame, above) = (next, end);
    }
    callers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const CODE: std::ops::Range<u64> = 0x7000..0x8000;

    /// Walks a stack of these words from `sp` on.
    fn walk(instruction: u64, sp: u64, bp: u64, words: &[(u64, u64)]) -> Vec<u64> {
        let memory: BTreeMap<u64, u64> = words.iter().copied().collect();
        let start = Start { instruction, stack: sp, frame: bp, word: 4 };
        callers(start, |address| memory.get(&address).copied(), |address| CODE.contains(&address))
    }

    #[test]
    fn frames_are_followed_to_the_first() {
        let words =
            [(0x100, 0x120), (0x104, 0x7010), (0x120, 0x140), (0x124, 0x7020), (0x140, 0), (0x144, 0x7030)];
        assert_eq!(walk(0x7001, 0xF0, 0x100, &words), [0x7010, 0x7020, 0x7030]);
    }

    #[test]
    fn a_call_to_a_wrong_address_has_pushed_its_return_address() {
        let words = [(0xFC, 0x7005), (0x100, 0), (0x104, 0x7010)];
        assert_eq!(walk(0, 0xFC, 0x100, &words), [0x7005, 0x7010]);
    }

    #[test]
    fn hostile_stacks_end_the_walk() {
        // A frame that is its own caller, two that are each other's, one below the stack, one that
        // returns to data, one at the end of the address space.
        assert_eq!(walk(0x7001, 0x100, 0x100, &[(0x100, 0x100), (0x104, 0x7010)]), [0x7010]);
        let two = [(0x100, 0x120), (0x104, 0x7010), (0x120, 0x100), (0x124, 0x7020)];
        assert_eq!(walk(0x7001, 0x100, 0x100, &two), [0x7010, 0x7020]);
        assert!(walk(0x7001, 0x100, 0x80, &[(0x80, 0x100), (0x84, 0x7010)]).is_empty());
        assert!(walk(0x7001, 0x100, 0x100, &[(0x100, 0x120), (0x104, 0x9000)]).is_empty());
        assert!(walk(0x7001, 0x100, u64::MAX, &[]).is_empty());
        let last = u64::MAX - 7;
        assert_eq!(walk(0x7001, 0x100, last, &[(last, 0), (last + 4, 0x7010)]), [0x7010]);
    }

    proptest! {
        /// For any stack, the walk ends, and returns only addresses in the image.
        #[test]
        fn every_walk_ends(
            words in proptest::collection::vec(prop_oneof![0_u64..0x400, 0x6F00_u64..0x8100, any::<u64>()], 256),
            sp in 0_u64..0x400,
            bp in prop_oneof![0_u64..0x400, any::<u64>()],
            instruction in any::<u64>(),
        ) {
            let read = |address: u64| {
                words.get(usize::try_from(address / 4).ok()?).copied().filter(|_| address.is_multiple_of(4))
            };
            let start = Start { instruction, stack: sp, frame: bp, word: 4 };
            let callers = callers(start, read, |address| CODE.contains(&address));
            prop_assert!(callers.len() <= words.len() && callers.iter().all(|address| CODE.contains(address)));
        }
    }
}
