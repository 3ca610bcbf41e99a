//! Instructions counted: by piece of code, and by turn.

use std::collections::BTreeMap;

use crate::{
    event::{FunctionProfile, TurnsProfile, VmProfile},
    post_mortem::Piece,
};

/// The instructions of one VM's guest.
pub(super) struct Count {
    all: u64,
    /// In each of the image's pieces of code.
    pieces: Vec<u64>,
    /// In code that has no name.
    elsewhere: u64,
    /// All, when the guest attached its mailbox.
    boot: Option<u64>,
    /// All, when the last turn ended or the guest had booted.
    then: u64,
    /// Those of each turn.
    turns: Vec<u64>,
}

impl Count {
    pub(super) fn new(pieces: &[Piece]) -> Self {
        let pieces = vec![0; pieces.len()];
        Self { all: 0, pieces, elsewhere: 0, boot: None, then: 0, turns: Vec::new() }
    }

    /// Counts an instruction, in the piece with this index.
    pub(super) fn add(&mut self, piece: Option<usize>) {
        self.all += 1;
        *piece.and_then(|piece| self.pieces.get_mut(piece)).unwrap_or(&mut self.elsewhere) += 1;
    }

    /// The guest has attached its mailbox.
    pub(super) fn booted(&mut self) {
        (self.boot, self.then) = (Some(self.all), self.all);
    }

    /// The guest has ended a turn.
    pub(super) fn turn_ended(&mut self) {
        self.turns.push(self.all - self.then);
        self.then = self.all;
    }

    /// What was counted so far, without VM and guest.
    pub(super) fn profile(&self, pieces: &[Piece]) -> VmProfile {
        // Functions that the compiler made of one have one name.
        let mut functions = BTreeMap::new();
        let named = pieces.iter().map(|piece| Some(piece.name.as_str())).zip(self.pieces.iter().copied());
        for (name, instructions) in named.chain([(None, self.elsewhere)]).filter(|(_, count)| *count > 0) {
            *functions.entry(name).or_default() += instructions;
        }
        let mut functions: Vec<_> = functions
            .into_iter()
            .map(|(name, instructions)| FunctionProfile { function: name.map(str::to_owned), instructions })
            .collect();
        functions.sort_by_key(|function| std::cmp::Reverse(function.instructions));
        let (boot, turns) = (self.boot, self.turns());
        VmProfile { instructions: self.all, boot, turns, functions, ..VmProfile::default() }
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

    #[test]
    fn pieces_of_one_name_are_one_function_and_the_dearest_comes_first() {
        let pieces = pieces();
        let mut count = Count::new(&pieces);
        [Some(1), Some(0), Some(2), Some(2), None].into_iter().for_each(|piece| count.add(piece));
        let profile = count.profile(&pieces);
        let functions: Vec<_> =
            profile.functions.iter().map(|it| (it.function.as_deref(), it.instructions)).collect();
        assert_eq!(functions, [(Some("a"), 3), (None, 1), (Some("b"), 1)]);
        assert_eq!((profile.instructions, profile.boot, profile.turns), (5, None, None));
    }

    #[test]
    fn turns_begin_where_the_last_one_or_the_boot_ended() {
        let mut count = Count::new(&[]);
        let mut run = |instructions, end: fn(&mut Count)| {
            (0..instructions).for_each(|_| count.add(None));
            end(&mut count);
        };
        run(100, Count::booted);
        [7, 5, 9, 6].into_iter().for_each(|instructions| run(instructions, Count::turn_ended));
        run(1, |_| {});
        let profile = count.profile(&[]);
        let turns = TurnsProfile { count: 4, instructions: 27, min: 5, median: 6, max: 9 };
        assert_eq!((profile.instructions, profile.boot, profile.turns), (128, Some(100), Some(turns)));
    }
}
