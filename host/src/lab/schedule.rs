//! Schedules: the VM of each turn.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::Deserialize;

use crate::{lab::input_files, runlog::recording::vm_names, vmm::random::SplitMix64};

/// A schedule as a user writes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ScheduleSpec {
    /// `alternate`: the VMs in turn, the producer first.
    Alternate,
    /// `burst:K`: K turns of each VM, the producer first.
    Burst(usize),
    /// `random`: a random VM for each turn, all with the same probability.
    Random,
    /// `string:1212`: the turns as written.
    String(String),
    /// `file:PATH`: the turns as written in a file.
    File(PathBuf),
    /// `free`: every VM has a thread, and takes its next turn as soon as it can.
    Free,
}

impl FromStr for ScheduleSpec {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        match text.split_once(':') {
            None if text == "alternate" => Ok(Self::Alternate),
            None if text == "random" => Ok(Self::Random),
            None if text == "free" => Ok(Self::Free),
            Some(("burst", turns)) => match turns.parse() {
                Ok(turns @ 1..) => Ok(Self::Burst(turns)),
                _ => Err(ScheduleError::Burst(turns.into())),
            },
            Some(("string", turns)) => Ok(Self::String(turns.into())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(ScheduleError::Form(text.into())),
        }
    }
}

impl TryFrom<String> for ScheduleSpec {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}

impl fmt::Display for ScheduleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alternate => f.write_str("alternate"),
            Self::Burst(turns) => write!(f, "burst:{turns}"),
            Self::Random => f.write_str("random"),
            Self::String(turns) => write!(f, "string:{turns}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Free => f.write_str("free"),
        }
    }
}

/// Returns the schedule of these turns as a [`ScheduleSpec::String`], and the number of turns. The number is given only
/// for zero turns, because a list is never empty.
pub fn of_turns(turns: String) -> (ScheduleSpec, Option<u64>) {
    match turns.is_empty() {
        true => (ScheduleSpec::Alternate, Some(0)),
        false => (ScheduleSpec::String(turns), None),
    }
}

/// The default number of turns.
pub const DEFAULT_TURNS: u64 = 40;

/// A schedule that can be run: the index of the VM of each turn.
#[derive(Clone, Debug)]
pub struct Schedule {
    order: Order,
    vms: usize,
    turns: u64,
    /// The number of the first turns that are left out.
    over: u64,
}

#[derive(Clone, Debug)]
enum Order {
    Burst(usize),
    Random(SplitMix64),
    List(Vec<usize>),
}

impl Schedule {
    /// Returns the schedule of a run of `vms` VMs. Without `turns`, a list has its own length, and the others have
    /// [`DEFAULT_TURNS`]. Reads the file of a [`ScheduleSpec::File`].
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the list has no turns or a character that does not name a VM.
    pub fn new(
        spec: &ScheduleSpec,
        vms: usize,
        turns: Option<u64>,
        seed: u64,
    ) -> Result<Self, ScheduleError> {
        let order = match spec {
            ScheduleSpec::Alternate => Order::Burst(1),
            ScheduleSpec::Burst(turns) => Order::Burst(*turns),
            ScheduleSpec::Random => Order::Random(SplitMix64::new(seed, 0)),
            ScheduleSpec::String(text) => Order::List(parse_list(&spec.to_string(), text, vms)?),
            ScheduleSpec::Free => return Err(ScheduleError::Free),
            ScheduleSpec::File(path) => {
                let text = input_files::read_text(path, MAX_FILE_SIZE)
                    .map_err(|source| ScheduleError::File { path: path.clone(), source })?;
                Order::List(parse_list(&path.display().to_string(), &text, vms)?)
            }
        };
        let own_turns = match &order {
            Order::List(list) => list.len() as u64,
            _ => DEFAULT_TURNS,
        };
        Ok(Self { order, vms, turns: turns.unwrap_or(own_turns), over: 0 })
    }

    /// Returns the number of turns, with those that are left out.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Returns this schedule without its first `over` turns.
    #[must_use]
    pub fn skip(self, over: u64) -> Self {
        Self { over, ..self }
    }

    /// Returns the VM of each turn, in order.
    pub fn into_turns(mut self) -> impl Iterator<Item = usize> {
        if let Order::Random(numbers) = &mut self.order {
            (0..self.over).for_each(|_| {
                numbers.below(self.vms);
            });
        }
        (self.over..self.turns).map(move |turn| match &mut self.order {
            Order::Burst(length) => place(turn / *length as u64, self.vms),
            Order::Random(numbers) => numbers.below(self.vms),
            Order::List(list) => list[place(turn, list.len())],
        })
    }
}

/// Returns the index of turn number `turn` in a sequence of length `len` that repeats.
fn place(turn: u64, len: usize) -> usize {
    usize::try_from(turn % len as u64).expect("less than `len`, which is a usize")
}

/// The size limit of a schedule's file, in bytes.
const MAX_FILE_SIZE: u64 = 64 << 20;

/// Parses a written schedule: one [name](vm_of) for each turn. Skips white space, a byte order mark, and text after a `#`
/// up to the end of the line.
fn parse_list(source: &str, text: &str, vms: usize) -> Result<Vec<usize>, ScheduleError> {
    let mut list = Vec::new();
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    for (line, text) in (1..).zip(text.lines()) {
        for (column, character) in (1..).zip(text.chars()) {
            match vm_of(character) {
                Some(vm) if vm < vms => list.push(vm),
                _ if character == '#' => break,
                _ if character.is_whitespace() => {}
                _ => {
                    let source_name = source.into();
                    return Err(ScheduleError::Character { source_name, line, column, character, vms });
                }
            }
        }
    }
    if list.is_empty() { Err(ScheduleError::Empty { source_name: source.into() }) } else { Ok(list) }
}

/// Returns the index of the VM that a character names.
fn vm_of(character: char) -> Option<usize> {
    vm_names().position(|name| name == character)
}

/// A schedule cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The text is not a schedule.
    #[error("`{0}` is not a schedule: it is one of alternate, burst:K, random, string:1212, file:PATH, free")]
    Form(String),
    /// The run needs turns in advance, so it cannot be free.
    #[error("`free` has no order of turns: it is only for `run prodcons`")]
    Free,
    /// The length of a burst is not a positive number.
    #[error("burst:{0}: a burst has 1 or more turns, as in burst:3")]
    Burst(String),
    /// The file cannot be read.
    #[error("cannot read the schedule {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },
    /// A character does not name a VM.
    #[error(
        "{source_name}, line {line}, column {column}: {character:?} does not name a VM; {}",
        match vms {
            2 => "write 1 for the first (the producer) and 2 for the second (the consumer)".into(),
            _ => format!("write 1 to 9, then a to w, for the VMs in order; their number is {vms}"),
        }
    )]
    Character {
        /// The file, or the schedule itself.
        source_name: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The character.
        character: char,
        /// The number of VMs.
        vms: usize,
    },
    /// The schedule has no turns.
    #[error("{source_name}: the schedule has no turns; write 1 for the first VM and 2 for the second")]
    Empty {
        /// The file, or the schedule itself.
        source_name: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(spec: &str, turns: Option<u64>) -> Vec<usize> {
        let spec = spec.parse().expect("a schedule");
        Schedule::new(&spec, 2, turns, 7).expect("it can be run").into_turns().collect()
    }

    #[test]
    fn each_form_gives_its_turns() {
        assert_eq!(turns("alternate", Some(5)), [0, 1, 0, 1, 0]);
        assert_eq!(turns("burst:2", Some(7)), [0, 0, 1, 1, 0, 0, 1]);
        assert_eq!(turns("string:1 22", None), [0, 1, 1]);
        assert_eq!(turns("string:112", Some(5)), [0, 0, 1, 0, 0]);
        assert_eq!(turns("string:112", Some(2)), [0, 0]);
        assert_eq!(turns("random", None).len(), 40);
    }

    #[test]
    fn random_turns_repeat_with_the_seed_and_are_fair() {
        let first = turns("random", Some(10_000));
        assert_eq!(first, turns("random", Some(10_000)));
        let ones = first.iter().sum::<usize>();
        assert!((4_800..5_200).contains(&ones), "{ones}");
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in
            ["", "round-robin", "burst", "burst:", "burst:0", "burst:-1", "burst:x", "file:", "Random"]
        {
            assert!(text.parse::<ScheduleSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_schedule_may_have_comments_and_any_white_space() {
        let text = "\u{FEFF}# the course's\r\n1 2\t1\r\n\r\n2 # 3 is not read\n";
        assert_eq!(parse_list("x", text, 2).expect("valid"), [0, 1, 0, 1]);
    }

    #[test]
    fn a_bad_character_is_named_with_its_place() {
        let error = parse_list("turns.txt", "12\r\n 1é3", 2).expect_err("invalid").to_string();
        assert!(error.starts_with("turns.txt, line 2, column 3: 'é' does not name a VM"), "{error}");
        assert!(parse_list("x", "3", 2).is_err());
        assert!(parse_list("x", "0", 2).is_err());
        assert!(parse_list("x", "3", 3).is_ok());
        assert_eq!(parse_list("x", "19aw", 32).expect("valid"), [0, 8, 9, 31]);
        let vm_name = crate::runlog::recording::vm_name;
        assert_eq!([1, 9, 10, 32].map(vm_name), [Some('1'), Some('9'), Some('a'), Some('w')]);
        assert_eq!([0, 33].map(vm_name), [None, None]);
        let error = parse_list("x", "a", 9).expect_err("nine VMs").to_string();
        assert!(
            error.ends_with("write 1 to 9, then a to w, for the VMs in order; their number is 9"),
            "{error}"
        );
    }

    #[test]
    fn a_schedule_without_turns_is_refused() {
        for text in ["", "\n", "# 12\n"] {
            assert!(matches!(parse_list("x", text, 2), Err(ScheduleError::Empty { .. })), "{text:?}");
        }
    }

    proptest! {
        /// Any text is a list of VMs that there are, or an error that names a place in it.
        #[test]
        fn any_text_is_parsed_or_refused(text in "[12 \r\n#x3é]{0,60}") {
            match parse_list("x", &text, 2) {
                Ok(list) => prop_assert!(!list.is_empty() && list.iter().all(|&vm| vm < 2)),
                Err(ScheduleError::Character { line, column, character, .. }) => {
                    let found = text.lines().nth(line - 1).and_then(|line| line.chars().nth(column - 1));
                    prop_assert_eq!(found, Some(character));
                }
                Err(error) => { let empty = matches!(error, ScheduleError::Empty { .. }); prop_assert!(empty); }
            }
        }

        #[test]
        fn a_schedule_prints_as_it_is_written(text in "(alternate|random|free|burst:[1-9]|string:[12]{0,9}|file:[a-z/.]{1,9})") {
            prop_assert_eq!(text.parse::<ScheduleSpec>().expect("valid").to_string(), text);
        }
    }
}
