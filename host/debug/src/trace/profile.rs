//! Instructions counted: by function, and by turn.

use std::{cmp::Reverse, collections::BTreeMap, rc::Rc};

use guestlab_runlog::event::{FunctionProfile, TurnsProfile, VmProfile};

use crate::crash_report::Piece;

/// The most addresses with counters of their own, so that a guest cannot exhaust the host's memory. Other addresses count
/// for their piece of code.
const MOST_ADDRESSES: usize = 1 << 18;

/// The instructions of one VM's guest.
pub(super) struct Count {
    all: u64,
    /// Counters by address, in pieces of code that have a name: number of executions, and the piece.
    addresses: BTreeMap<u64, (u64, usize)>,
    /// A counter for each piece of code, for addresses without one.
    pieces: Vec<u64>,
    /// The counter for code without a name.
    elsewhere: u64,
    /// The number of all instructions when the guest attached its mailbox.
    boot: Option<u64>,
    /// The number of all instructions at the end of the last turn or the boot.
    then: u64,
    /// The number of instructions of each turn.
    turns: Vec<u64>,
}

impl Count {
    pub(super) fn new(pieces: &[Piece]) -> Self {
        let pieces = vec![0; pieces.len()];
        Self {
            all: 0,
            addresses: BTreeMap::new(),
            pieces,
            elsewhere: 0,
            boot: None,
            then: 0,
            turns: Vec::new(),
        }
    }

    /// Counts an instruction at an address, in the piece with this index.
    pub(super) fn add(&mut self, address: u64, piece: Option<usize>) {
        self.all += 1;
        let Some(piece) = piece else {
            self.elsewhere += 1;
            return;
        };
        if self.addresses.len() < MOST_ADDRESSES || self.addresses.contains_key(&address) {
            self.addresses.entry(address).or_insert((0, piece)).0 += 1;
        } else {
            self.pieces[piece] += 1;
        }
    }

    /// Ends the boot: the guest has attached its mailbox.
    pub(super) fn booted(&mut self) {
        (self.boot, self.then) = (Some(self.all), self.all);
    }

    /// Ends a turn.
    pub(super) fn turn_ended(&mut self) {
        self.turns.push(self.all - self.then);
        self.then = self.all;
    }

    /// Returns the counts so far, without VM and guest. `functions` returns the function of the instruction at an address,
    /// if it is known; otherwise the instruction counts for its piece.
    pub(super) fn profile(
        &self,
        pieces: &[Piece],
        functions: impl FnOnce(Vec<u64>) -> Vec<Option<Rc<str>>>,
    ) -> VmProfile {
        let functions = self.functions(pieces, &functions(self.addresses.keys().copied().collect()));
        let (boot, turns) = (self.boot, self.turns());
        VmProfile { instructions: self.all, boot, turns, functions, ..VmProfile::default() }
    }

    /// Returns the instructions of each function, the largest number first. Functions with the same name are one.
    fn functions(&self, pieces: &[Piece], names: &[Option<Rc<str>>]) -> Vec<FunctionProfile> {
        let mut functions = BTreeMap::new();
        let mut add = |name, count| {
            if count > 0 {
                *functions.entry(name).or_default() += count;
            }
        };
        for (&(count, piece), name) in self.addresses.values().zip(names) {
            add(Some(name.as_deref().unwrap_or(&pieces[piece].name)), count);
        }
        for (&count, piece) in self.pieces.iter().zip(pieces) {
            add(Some(&piece.name), count);
        }
        add(None, self.elsewhere);
        let named = |(name, instructions): (Option<&str>, u64)| FunctionProfile {
            function: name.map(str::to_owned),
            instructions,
        };
        let mut functions: Vec<_> = functions.into_iter().map(named).collect();
        functions.sort_by_key(|function| Reverse(function.instructions));
        functions
    }

    fn turns(&self) -> Option<TurnsProfile> {
        let mut turns = self.turns.clone();
        turns.sort_unstable();
        let (&min, &max) = (turns.first()?, turns.last()?);
        let median = turns[(turns.len() - 1) / 2];
        Some(TurnsProfile { count: turns.len() as u64, instructions: turns.iter().sum(), min, median, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<Piece> {
        let piece = |start, name: &str| Piece { start, end: start + 16, name: name.into() };
        vec![piece(0, "a"), piece(16, "b"), piece(32, "a")]
    }

    fn unnamed(addresses: Vec<u64>) -> Vec<Option<Rc<str>>> {
        vec![None; addresses.len()]
    }

    fn functions(profile: &VmProfile) -> Vec<(Option<&str>, u64)> {
        profile.functions.iter().map(|it| (it.function.as_deref(), it.instructions)).collect()
    }

    #[test]
    fn pieces_of_one_name_are_one_function_and_the_dearest_comes_first() {
        let pieces = pieces();
        let mut count = Count::new(&pieces);
        [(17, Some(1)), (0, Some(0)), (32, Some(2)), (32, Some(2)), (99, None)]
            .into_iter()
            .for_each(|(address, piece)| count.add(address, piece));
        let profile = count.profile(&pieces, unnamed);
        assert_eq!(functions(&profile), [(Some("a"), 3), (None, 1), (Some("b"), 1)]);
        assert_eq!((profile.instructions, profile.boot, profile.turns), (5, None, None));
    }

    #[test]
    fn an_instruction_is_that_of_the_function_it_was_written_in() {
        let pieces = pieces();
        let mut count = Count::new(&pieces);
        [0, 1, 1, 2].into_iter().for_each(|address| count.add(address, Some(0)));
        let inlined = |addresses: Vec<u64>| {
            assert_eq!(addresses, [0, 1, 2], "each is asked for once");
            vec![None, Some(Rc::from("b")), None]
        };
        let profile = count.profile(&pieces, inlined);
        assert_eq!(functions(&profile), [(Some("a"), 2), (Some("b"), 2)]);
    }

    #[test]
    fn counting_many_addresses_needs_bounded_memory() {
        let pieces = [Piece { start: 0, end: u64::MAX, name: "all".into() }];
        let mut count = Count::new(&pieces);
        let many = MOST_ADDRESSES as u64 + 10;
        (0..many).for_each(|address| count.add(address, Some(0)));
        count.add(0, Some(0));
        assert_eq!(count.addresses.len(), MOST_ADDRESSES);
        assert_eq!(functions(&count.profile(&pieces, unnamed)), [(Some("all"), many + 1)]);
    }

    #[test]
    fn turns_begin_where_the_last_one_or_the_boot_ended() {
        let mut count = Count::new(&[]);
        let mut run = |instructions, end: fn(&mut Count)| {
            (0..instructions).for_each(|_| count.add(0, None));
            end(&mut count);
        };
        run(100, Count::booted);
        [7, 5, 9, 6].into_iter().for_each(|instructions| run(instructions, Count::turn_ended));
        run(1, |_| {});
        let profile = count.profile(&[], unnamed);
        let turns = TurnsProfile { count: 4, instructions: 27, min: 5, median: 6, max: 9 };
        assert_eq!((profile.instructions, profile.boot, profile.turns), (128, Some(100), Some(turns)));
    }
}
