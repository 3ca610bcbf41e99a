//! Instructions counted: by function, by line, and by turn.

use std::{cmp::Reverse, collections::BTreeMap};

use guestlab_runlog::event::{FunctionProfile, LineProfile, TurnsProfile, VmProfile};

use crate::crash_report::{Piece, Written};

/// The most addresses with counters of their own, so that a guest cannot exhaust the host's memory. Other addresses count
/// for their piece of code.
const MOST_ADDRESSES: usize = 1 << 18;

/// The most lines of a profile. A hostile image can have another line for each instruction.
const MOST_LINES: usize = 1000;

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

    /// Returns the counts so far, without VM and guest. `sources` returns the source of the instruction at each address. An
    /// instruction whose function is not known counts for its piece; one whose line is not known counts for no line.
    pub(super) fn profile(
        &self,
        pieces: &[Piece],
        sources: impl FnOnce(Vec<u64>) -> Vec<Written>,
    ) -> VmProfile {
        let sources = sources(self.addresses.keys().copied().collect());
        let (functions, lines) = (self.functions(pieces, &sources), self.lines(&sources));
        let (boot, turns) = (self.boot, self.turns());
        VmProfile { instructions: self.all, boot, turns, functions, lines, ..VmProfile::default() }
    }

    /// Returns the instructions of each function, the largest number first. Functions with the same name are one.
    fn functions(&self, pieces: &[Piece], sources: &[Written]) -> Vec<FunctionProfile> {
        let at = self.addresses.values().zip(sources).map(|(&(count, piece), source)| {
            (Some(source.function.as_deref().unwrap_or(&pieces[piece].name)), count)
        });
        let of_pieces = self.pieces.iter().zip(pieces).map(|(&count, piece)| (Some(&*piece.name), count));
        let functions = totals(at.chain(of_pieces).chain([(None, self.elsewhere)]));
        let named = |(name, instructions): (Option<&str>, u64)| FunctionProfile {
            function: name.map(str::to_owned),
            instructions,
        };
        functions.into_iter().map(named).collect()
    }

    /// Returns the instructions of each source line, the largest number first.
    fn lines(&self, sources: &[Written]) -> Vec<LineProfile> {
        let counts = self.addresses.values().map(|&(count, _)| count);
        let lines = sources.iter().zip(counts).filter_map(|(source, count)| {
            let (file, line) = source.line.as_ref()?;
            Some(((&**file, *line), count))
        });
        let line = |((file, line), instructions): ((&str, u32), u64)| LineProfile {
            file: file.into(),
            line,
            instructions,
        };
        totals(lines).into_iter().take(MOST_LINES).map(line).collect()
    }

    fn turns(&self) -> Option<TurnsProfile> {
        let mut turns = self.turns.clone();
        turns.sort_unstable();
        let (&min, &max) = (turns.first()?, turns.last()?);
        let median = turns[(turns.len() - 1) / 2];
        Some(TurnsProfile { count: turns.len() as u64, instructions: turns.iter().sum(), min, median, max })
    }
}

/// Adds the counts of equal keys. Returns the totals that are not 0, the largest first.
fn totals<K: Ord>(counts: impl Iterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut totals = BTreeMap::new();
    for (key, count) in counts.filter(|(_, count)| *count > 0) {
        *totals.entry(key).or_default() += count;
    }
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_by_key(|(_, total)| Reverse(*total));
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<Piece> {
        let piece = |start, name: &str| Piece { start, end: start + 16, name: name.into() };
        vec![piece(0, "a"), piece(16, "b"), piece(32, "a")]
    }

    fn unnamed(addresses: Vec<u64>) -> Vec<Written> {
        vec![Written::default(); addresses.len()]
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
            vec![Written::default(), Written { function: Some("b".into()), line: None }, Written::default()]
        };
        let profile = count.profile(&pieces, inlined);
        assert_eq!(functions(&profile), [(Some("a"), 2), (Some("b"), 2)]);
        assert!(profile.lines.is_empty());
    }

    #[test]
    fn instructions_of_a_line_are_added_wherever_they_are() {
        let mut count = Count::new(&pieces());
        [0, 1, 1, 2, 17, 32].into_iter().for_each(|address| count.add(address, Some(0)));
        let line = |file: &str, line| Written { function: None, line: Some((file.into(), line)) };
        let sources = vec![line("a", 7), line("b", 7), line("a", 8), Written::default(), line("a", 7)];
        let profile = count.profile(&pieces(), |_| sources);
        let lines: Vec<_> = profile.lines.iter().map(|it| (&*it.file, it.line, it.instructions)).collect();
        assert_eq!(lines, [("a", 7, 2), ("b", 7, 2), ("a", 8, 1)]);
    }

    #[test]
    fn a_profile_has_a_bounded_number_of_lines() {
        let mut count = Count::new(&pieces());
        (0..2000).for_each(|address| count.add(address, Some(0)));
        let line = |address| Written { function: None, line: Some(("a".into(), address)) };
        let profile = count.profile(&pieces(), |_| (0..2000).map(line).collect());
        assert_eq!(profile.lines.len(), MOST_LINES);
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
