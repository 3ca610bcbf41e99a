//! The conduct of each VM in an exchange: the number of items that it moved, and its random choices.
//!
//! With a random quota, every number of items is valid in a single turn, but many turns together can show a habit: the
//! guest never moves an item, always moves the same number, or always makes the same item. Two conditions keep chance
//! from being reported:
//!
//! - Only turns with a choice count: with a random quota, and with room or items. The more numbers were possible, the
//!   more a choice proves. A guest for which all possible numbers are equally likely has the same habit with a
//!   probability below `UNLIKELY`, all 65 numbers that it could always move taken together.
//! - A guest may choose from fewer numbers than it could, or make few different items. The extreme is a coin, which
//!   falls on one side N times with a probability of 2^(1-N). So there is a smallest N, which depends on the
//!   [`Weight`].

use guest_abi::{mailbox::Quota, ring::MAX_CAPACITY, transition::Role};
use serde::{Deserialize, Serialize};

/// The probability below which chance is ruled out.
const UNLIKELY: f64 = 1e-9;

/// The consequence of a habit, which decides how many choices or items prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A line next to the audit of a run that succeeds. Chance is reported in 1 of 32,768 runs (2^-15) if a guest
    /// tosses a coin in each turn, and in fewer than 1 of 10^9 runs if it rolls a die.
    Note,
    /// The failure of a search. Chance is reported in fewer than 1 of 10^9 searches (2^-30), even if a guest tosses a
    /// coin in each turn.
    Failure,
}

impl Weight {
    /// The smallest number of choices, or of items, that a guest is judged by.
    const fn fewest(self) -> u64 {
        match self {
            Self::Note => 16,
            Self::Failure => 31,
        }
    }
}

/// All numbers of items that a guest may always move, as bits: 0 to [`MAX_CAPACITY`].
const ALL_NUMBERS: u128 = (1 << (MAX_CAPACITY + 1)) - 1;

/// The conduct of one VM in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conduct {
    moved: u64,
    /// The number of turns with a random quota in which an item could move.
    choices: u64,
    /// The numbers that explain all choices, as bits: the guest moved that many, or all if there were fewer.
    #[serde(with = "bits")]
    numbers: u128,
    /// The probability of these choices if each number is equally likely.
    chance: f64,
    /// The first item.
    first: Option<u32>,
    /// True if all items are equal.
    same: bool,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { moved: 0, choices: 0, numbers: ALL_NUMBERS, chance: 1.0, first: None, same: true }
    }
}

impl Conduct {
    /// The number of items that the VM moved.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Adds a turn that moved these items, of `possible` ones.
    pub fn enter(&mut self, quota: Quota, possible: u32, items: &[u32]) {
        self.moved += items.len() as u64;
        let first = self.first.or(items.first().copied());
        self.same &= items.iter().all(|&item| Some(item) == first);
        self.first = first;
        if quota == Quota::Random && possible > 0 {
            self.choices += 1;
            self.chance /= f64::from(possible) + 1.0;
            self.numbers &= match items.len() < possible as usize {
                true => 1 << items.len(),
                false => ALL_NUMBERS << possible,
            } & ALL_NUMBERS;
        }
    }
}

/// The conduct of one VM in many separate runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    moved: u64,
    choices: u64,
    /// The number of choices after the first of their run.
    repeated_choices: u64,
    /// The numbers that explain the choices of all runs.
    #[serde(with = "bits")]
    numbers: u128,
    /// The probability of these choices.
    chance: f64,
    /// True if each run has such a number, perhaps a different one.
    is_steady: bool,
    /// The probability that chance makes each run as regular as it was.
    chance_by_run: f64,
    first: Option<u32>,
    /// True if all items are equal to the first.
    is_one_value: bool,
    /// True if all items of each run are equal.
    is_same: bool,
    /// The number of items after the first of their run.
    repeated_items: u64,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            moved: 0,
            choices: 0,
            repeated_choices: 0,
            numbers: ALL_NUMBERS,
            chance: 1.0,
            is_steady: true,
            chance_by_run: 1.0,
            first: None,
            is_one_value: true,
            is_same: true,
            repeated_items: 0,
        }
    }
}

impl Record {
    /// The record of one run.
    pub fn of(run: &Conduct) -> Self {
        let mut record = Self::default();
        record.add(run);
        record
    }

    /// Adds a run.
    pub fn add(&mut self, run: &Conduct) {
        self.moved += run.moved;
        self.choices += run.choices;
        self.repeated_choices += run.choices.saturating_sub(1);
        self.numbers &= run.numbers;
        self.chance *= run.chance;
        self.is_steady &= run.numbers != 0;
        self.chance_by_run *= of_any_number(run.chance);
        let first = self.first.or(run.first);
        self.is_one_value &= run.first.is_none() || run.first == first;
        self.first = first;
        self.is_same &= run.same;
        self.repeated_items += run.moved.saturating_sub(1);
    }

    /// Adds other runs.
    pub fn merge(&mut self, other: &Self) {
        self.moved = self.moved.saturating_add(other.moved);
        self.choices = self.choices.saturating_add(other.choices);
        self.repeated_choices = self.repeated_choices.saturating_add(other.repeated_choices);
        self.numbers &= other.numbers;
        self.chance *= other.chance;
        self.is_steady &= other.is_steady;
        self.chance_by_run *= other.chance_by_run;
        let first = self.first.or(other.first);
        self.is_one_value &= other.is_one_value && (other.first.is_none() || other.first == first);
        self.first = first;
        self.is_same &= other.is_same;
        self.repeated_items = self.repeated_items.saturating_add(other.repeated_items);
    }

    /// The number of items that the VM moved.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Returns the habits that a guest of this role must not have, as far as they are proved for a consequence.
    pub fn habits(&self, role: Role, weight: Weight) -> impl Iterator<Item = Habit> {
        let value = (role == Role::Producer).then(|| self.value(weight)).flatten();
        [self.number(role, weight), value].into_iter().flatten()
    }

    fn number(&self, role: Role, weight: Weight) -> Option<Habit> {
        // If each run has its own number, the first choice of a run proves nothing.
        let (chance, choices) = match self.numbers {
            0 => (self.chance_by_run, self.repeated_choices + 1),
            _ => (of_any_number(self.chance), self.choices),
        };
        if !self.is_steady || choices < weight.fewest() || chance > UNLIKELY {
            return None;
        }
        let turns = self.choices;
        let has = |number: u32| self.numbers >> number & 1 == 1;
        Some(match self.numbers {
            0 => Habit::OneNumberARun { role, turns },
            _ if has(0) => Habit::Nothing { role, turns },
            _ if has(MAX_CAPACITY) => Habit::All { role, turns },
            numbers => Habit::Number { role, number: numbers.trailing_zeros(), turns },
        })
    }

    fn value(&self, weight: Weight) -> Option<Habit> {
        let value = self.first.filter(|_| self.is_one_value);
        let items = if value.is_some() { self.moved } else { self.repeated_items + 1 };
        let enough = self.is_same && items >= weight.fewest();
        enough.then_some(Habit::Value { value, items: self.moved })
    }
}

/// Bits as hexadecimal text: no number of JSON has so many.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bits: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{bits:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

/// The probability that some number explains choices of this probability: each number would be reported.
fn of_any_number(chance: f64) -> f64 {
    (chance * f64::from(MAX_CAPACITY + 1)).min(1.0)
}

/// A habit of a guest that should choose at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// The guest moves nothing.
    Nothing {
        /// The guest's side.
        role: Role,
        /// The number of turns in which it could choose.
        turns: u64,
    },
    /// The guest moves as many items as it can.
    All {
        /// The guest's side.
        role: Role,
        /// The number of turns in which it could choose.
        turns: u64,
    },
    /// The guest moves this number, or all items if there are fewer.
    Number {
        /// The guest's side.
        role: Role,
        /// The number.
        number: u32,
        /// The number of turns in which it could choose.
        turns: u64,
    },
    /// The guest moves one number in all turns of a run, and another one in another run.
    OneNumberARun {
        /// The guest's side.
        role: Role,
        /// The number of turns in which it could choose.
        turns: u64,
    },
    /// The guest makes items of one value.
    Value {
        /// The value, if it is the same in all runs.
        value: Option<u32>,
        /// The number of items.
        items: u64,
    },
}

impl Habit {
    /// The habit's name for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing { .. } => "never-moved",
            Self::All { .. } => "always-all",
            Self::Number { .. } | Self::OneNumberARun { .. } => "same-number",
            Self::Value { .. } => "same-value",
        }
    }
}

impl std::fmt::Display for Habit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = |role| if role == Role::Producer { "added" } else { "took" };
        match *self {
            Self::Nothing { role, turns } => {
                write!(f, "it never {} an item, in {turns} turns that left it the choice", verb(role))
            }
            Self::All { role, turns } => {
                let all = if role == Role::Producer { "filled the ring" } else { "emptied the ring" };
                write!(f, "it always {all}, in {turns} turns that left it the choice")
            }
            Self::Number { role, number, turns } => {
                let verb = verb(role);
                write!(
                    f,
                    "it always {verb} {number}, or all that it could, in {turns} turns that left it the choice"
                )
            }
            Self::OneNumberARun { role, turns } => {
                let verb = verb(role);
                write!(
                    f,
                    "it always {verb} the same number in a run, in {turns} turns that left it the choice"
                )
            }
            Self::Value { value: Some(value), items } => write!(f, "all of its {items} items are {value}"),
            Self::Value { value: None, items } => {
                write!(f, "its items are all the same in a run; it made {items}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_core::{Rng, SeedableRng};
    use rand_xoshiro::SplitMix64;

    use super::*;

    /// Turns of a guest that is given this much room in each, and moves as `moves` says.
    fn run(possible: impl IntoIterator<Item = u32>, mut moves: impl FnMut(u32) -> Vec<u32>) -> Conduct {
        let mut conduct = Conduct::default();
        for possible in possible {
            conduct.enter(Quota::Random, possible, &moves(possible));
        }
        conduct
    }

    fn names(role: Role, conduct: &Conduct) -> Vec<&'static str> {
        Record::of(conduct).habits(role, Weight::Note).map(Habit::name).collect()
    }

    /// A ring of 6 that is seldom empty.
    fn room() -> impl Iterator<Item = u32> {
        [6, 0, 3, 1, 5, 2].into_iter().cycle().take(30)
    }

    #[test]
    fn each_habit_is_noticed() {
        let took =
            |number: fn(u32) -> u32| run(room(), |possible| (0..number(possible).min(possible)).collect());
        let text = |number| {
            Record::of(&took(number)).habits(Role::Consumer, Weight::Note).map(|it| it.to_string()).next()
        };
        assert_eq!(
            text(|_| 0).as_deref(),
            Some("it never took an item, in 25 turns that left it the choice")
        );
        assert_eq!(
            text(|all| all).as_deref(),
            Some("it always emptied the ring, in 25 turns that left it the choice")
        );
        assert_eq!(
            text(|_| 2).as_deref(),
            Some("it always took 2, or all that it could, in 25 turns that left it the choice")
        );
        assert_eq!(text(|possible| possible / 2), None);
        assert_eq!(names(Role::Producer, &took(|_| 0)), ["never-moved"]);
    }

    #[test]
    fn items_of_one_value_are_a_producers_habit() {
        let sevens = run(room(), |possible| vec![7; possible as usize / 2]);
        assert_eq!(names(Role::Producer, &sevens), ["same-value"]);
        assert_eq!(names(Role::Consumer, &sevens), Vec::<&str>::new());
        let text = Record::of(&sevens).habits(Role::Producer, Weight::Note).map(|it| it.to_string()).next();
        assert_eq!(text.as_deref(), Some("all of its 35 items are 7"));
        // A fixed quota leaves no choice of numbers, but of values.
        let mut told = Conduct::default();
        (0..16).for_each(|_| told.enter(Quota::Items(1), 6, &[7]));
        assert_eq!(names(Role::Producer, &told), ["same-value"]);
    }

    #[test]
    fn few_turns_prove_nothing() {
        assert!(names(Role::Consumer, &run([6; 15], |_| vec![])).is_empty());
        assert!(!names(Role::Consumer, &run([6; 16], |_| vec![])).is_empty());
        // With one item there are two numbers to choose from: 2^-35 is 65 times as much as it should be.
        assert!(names(Role::Consumer, &run([1; 35], |_| vec![])).is_empty());
        assert!(!names(Role::Consumer, &run([1; 37], |_| vec![])).is_empty());
        assert!(names(Role::Consumer, &run([0; 1000], |_| vec![])).is_empty());
        let few = run([6; 15], |_| vec![7]);
        assert!(names(Role::Producer, &few).is_empty());
    }

    #[test]
    fn runs_are_judged_together() {
        let mut record = Record::default();
        for number in 0..10 {
            // Three turns of a run are too few to judge.
            let run = run([9; 3], |_| (0..number % 3).collect());
            assert!(names(Role::Producer, &run).is_empty());
            record.add(&run);
        }
        let names: Vec<&str> = record.habits(Role::Producer, Weight::Note).map(Habit::name).collect();
        assert_eq!(names, ["same-number"]);
        let mut record = Record::default();
        (0..10).for_each(|number| record.add(&run([9; 3], |_| vec![number, number])));
        let habits = record.habits(Role::Producer, Weight::Note);
        let texts: Vec<String> = habits.map(|habit| habit.to_string()).collect();
        assert_eq!(texts[1], "its items are all the same in a run; it made 60");
    }

    #[test]
    fn chance_is_not_accused() {
        for seed in 0..2000 {
            let mut numbers = SplitMix64::seed_from_u64(seed);
            let mut below = |bound: u32| numbers.next_u32() % bound;
            let mut record = Record::default();
            for capacity in [1, 2, 6, 64] {
                let run = run([capacity; 40], |possible| {
                    let number = below(possible + 1);
                    (0..number).map(|_| below(6)).collect()
                });
                assert!(names(Role::Producer, &run).is_empty(), "{seed}, {capacity}: {run:?}");
                record.add(&run);
            }
            assert_eq!(record.habits(Role::Producer, Weight::Note).count(), 0, "{seed}");
        }
    }

    #[test]
    fn a_failure_needs_more_evidence_than_a_note() {
        let habits = |run: &Conduct, weight| Record::of(run).habits(Role::Producer, weight).count();
        for (turns, note, failure) in [(15, 0, 0), (16, 2, 0), (30, 2, 0), (31, 2, 2)] {
            // One item of one value in each turn: two habits.
            let run = run(vec![6; turns], |_| vec![7]);
            assert_eq!([Weight::Note, Weight::Failure].map(|weight| habits(&run, weight)), [note, failure]);
        }
    }

    /// Runs of two turns, each with a number of its own: 30 second turns prove as much as 31 choices of one number.
    #[test]
    fn the_first_choice_of_a_run_proves_nothing() {
        let mut record = Record::default();
        for number in 0..30 {
            let fails = |record: &Record| record.habits(Role::Consumer, Weight::Failure).count();
            assert_eq!(fails(&record), 0, "{number} runs");
            record.add(&run([64; 2], |_| vec![0; number % 2]));
        }
        assert_eq!(record.habits(Role::Consumer, Weight::Failure).count(), 1);
    }

    #[test]
    fn a_search_does_not_fail_a_coin() {
        for seed in 0..2000 {
            let mut numbers = SplitMix64::seed_from_u64(seed);
            let mut record = Record::default();
            for _ in 0..40 {
                record.add(&run([64; 2], |_| {
                    vec![numbers.next_u32() >> 31; (numbers.next_u32() >> 31) as usize]
                }));
                assert_eq!(record.habits(Role::Producer, Weight::Failure).count(), 0, "{seed}: {record:?}");
            }
        }
    }
}
