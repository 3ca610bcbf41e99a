//! Experiment files in TOML: the VMs and the order of turns.
//!
//! ```toml
//! name = "pingpong"
//! schedule = "alternate"
//! turns = 10
//!
//! [[vm]]
//! guest = "pingpong"
//! arguments = ["ping"]
//!
//! [[vm]]
//! guest = "pingpong"
//! arguments = ["pong"]
//! ```
//!
//! Other keys: `seed`, `timeout` (seconds); `memory` and `mode`, for all VMs or for one; `image`, a file instead of a
//! guest. Paths are relative to the file's folder.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use guest_abi::{
    layout::{DEFAULT_MEMORY, MAX_ARGUMENTS_SIZE},
    mode::CpuMode,
};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    cli::values::{is_guest_name, parse_memory, parse_mode, parse_timeout},
    lab::input_files,
    lab::schedule::{Schedule, ScheduleError, ScheduleSpec},
};

/// The size limit of an experiment's file, in bytes.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// The largest number of VMs of an experiment. Schedules have no names for more.
const MAX_VMS: usize = 32;

/// The content of an experiment's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// The name.
    pub name: String,
    /// The order of turns.
    pub schedule: ScheduleSpec,
    /// The number of turns, if it is in the file.
    pub turns: Option<u64>,
    /// The seed of all random numbers, if it is in the file.
    pub seed: Option<u64>,
    /// The deadline of the run, if it is in the file.
    pub timeout: Option<Duration>,
    /// The VMs in order.
    pub vms: Vec<VmSpec>,
}

/// A VM of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmSpec {
    /// The guest.
    pub guest: VmGuest,
    /// The CPU mode, if it is in the file.
    pub mode: Option<CpuMode>,
    /// The size of the memory in bytes.
    pub memory: u32,
    /// The guest's arguments.
    pub arguments: Vec<String>,
}

/// A VM's guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmGuest {
    /// A guest crate or an example of guest-rt, by name.
    Named(String),
    /// A file.
    Image(PathBuf),
}

impl Experiment {
    /// Reads an experiment's file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has an error; the error has its position.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let error = |(place, problem)| FileError { path: path.into(), place, problem };
        let text = input_files::read_text(path, MAX_FILE_SIZE)
            .map_err(|source| error((None, format!("cannot read it: {source}"))))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(error)
    }

    /// Parses an experiment's text. Its paths are relative to `folder`.
    ///
    /// # Errors
    ///
    /// The text has an error; the error has its position.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, (Option<Place>, String)> {
        parse(text, folder).map_err(|Wrong(span, problem)| (span.map(|span| Place::of(text, span)), problem))
    }
}

/// An error in a file's text, and its bytes.
struct Wrong(Option<Range<usize>>, String);

/// The file's table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: Spanned<String>,
    schedule: Option<Spanned<ScheduleSpec>>,
    turns: Option<u64>,
    seed: Option<u64>,
    timeout: Option<Timeout>,
    memory: Option<Memory>,
    mode: Option<Mode>,
    vm: Spanned<Vec<Spanned<VmTable>>>,
}

/// A table of `[[vm]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VmTable {
    guest: Option<Spanned<String>>,
    image: Option<PathBuf>,
    memory: Option<Memory>,
    mode: Option<Mode>,
    #[serde(default)]
    arguments: Vec<Spanned<String>>,
}

/// A value that may be a number or a text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number, or one as text")]
enum Plain {
    Whole(u64),
    Real(f64),
    Text(String),
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Plain")]
struct Memory(u32);

impl TryFrom<Plain> for Memory {
    type Error = String;

    fn try_from(value: Plain) -> Result<Self, String> {
        parse_memory(&value.to_string()).map(Self)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Plain")]
struct Timeout(Duration);

impl TryFrom<Plain> for Timeout {
    type Error = String;

    fn try_from(value: Plain) -> Result<Self, String> {
        parse_timeout(&value.to_string()).map(Self)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Mode(CpuMode);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_mode(&text).map(Self)
    }
}

/// Parses a file's text. Its paths are relative to `folder`.
fn parse(text: &str, folder: &Path) -> Result<Experiment, Wrong> {
    let table: Table =
        toml::from_str(text).map_err(|error| Wrong(error.span(), error.message().to_owned()))?;
    let name = table.name.get_ref();
    if !is_guest_name(name) {
        return Err(Wrong(
            Some(table.name.span()),
            "an experiment's name has letters, digits, - and _".into(),
        ));
    }
    let vms = vms(&table, folder)?;
    let schedule = match &table.schedule {
        None => ScheduleSpec::Alternate,
        Some(spanned) => check_schedule(spanned.get_ref(), vms.len(), folder)
            .map_err(|error| Wrong(Some(spanned.span()), error.to_string()))?,
    };
    Ok(Experiment {
        name: name.clone(),
        schedule,
        turns: table.turns,
        seed: table.seed,
        timeout: table.timeout.map(|Timeout(timeout)| timeout),
        vms,
    })
}

/// Returns the schedule with its full path, after a check that it fits these VMs.
fn check_schedule(spec: &ScheduleSpec, vms: usize, folder: &Path) -> Result<ScheduleSpec, ScheduleError> {
    let spec = match spec {
        ScheduleSpec::File(path) => ScheduleSpec::File(folder.join(path)),
        spec => spec.clone(),
    };
    Schedule::new(&spec, vms, None, 0).map(|_| spec)
}

fn vms(table: &Table, folder: &Path) -> Result<Vec<VmSpec>, Wrong> {
    let tables = table.vm.get_ref();
    if !(1..=MAX_VMS).contains(&tables.len()) {
        let count = tables.len();
        return Err(Wrong(
            Some(table.vm.span()),
            format!("an experiment has 1 to {MAX_VMS} VMs, but this one has {count}"),
        ));
    }
    tables.iter().map(|vm| self::vm(vm, table, folder)).collect()
}

fn vm(vm: &Spanned<VmTable>, table: &Table, folder: &Path) -> Result<VmSpec, Wrong> {
    let VmTable { guest, image, memory, mode, arguments } = vm.get_ref();
    let guest = match (guest, image) {
        (Some(name), None) if is_guest_name(name.get_ref()) => VmGuest::Named(name.get_ref().clone()),
        (Some(name), None) => {
            return Err(Wrong(
                Some(name.span()),
                "this is not a guest's name; a file is named with `image`".into(),
            ));
        }
        (None, Some(image)) => VmGuest::Image(folder.join(image)),
        _ => return Err(Wrong(Some(vm.span()), "a VM has either a `guest` or an `image`".into())),
    };
    Ok(VmSpec {
        guest,
        mode: mode.or(table.mode).map(|Mode(mode)| mode),
        memory: memory.or(table.memory).map_or(DEFAULT_MEMORY, |Memory(memory)| memory),
        arguments: self::arguments(arguments)?,
    })
}

/// Checks arguments: each ends with a NUL, and the space for them is limited.
fn arguments(arguments: &[Spanned<String>]) -> Result<Vec<String>, Wrong> {
    let mut len = 0;
    for argument in arguments {
        len += argument.get_ref().len() + 1;
        if argument.get_ref().contains('\0') {
            return Err(Wrong(Some(argument.span()), "an argument cannot hold a NUL".into()));
        }
        if len > MAX_ARGUMENTS_SIZE as usize {
            return Err(Wrong(
                Some(argument.span()),
                format!(
                    "a guest's arguments take at most {MAX_ARGUMENTS_SIZE} bytes, with one more for the end of each"
                ),
            ));
        }
    }
    Ok(arguments.iter().map(|argument| argument.get_ref().clone()).collect())
}

/// An experiment's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("experiment {}{}: {problem}", path.display(), place.map_or(String::new(), |place| place.to_string()))]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// The position of the error.
    pub place: Option<Place>,
    /// The error as text.
    pub problem: String,
}

/// A position in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// Returns the position of the first byte of a span.
    fn of(text: &str, span: Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PINGPONG: &str = r#"# two of them
name = "pingpong"
schedule = "string:1122"
turns = 10
memory = "4M"

[[vm]]
guest = "pingpong"
arguments = ["ping", "é"]

[[vm]]
image = "pong.elf"
memory = 0x100000
mode = "long"
"#;

    fn wrong(text: &str) -> (Option<(usize, usize)>, String) {
        let Err(Wrong(span, problem)) = parse(text, Path::new("")) else { panic!("{text} is right") };
        let place = span.map(|span| Place::of(text, span));
        (place.map(|place| (place.line, place.column)), problem)
    }

    #[test]
    fn an_experiment_is_read() {
        let experiment =
            parse(PINGPONG, Path::new("/here")).unwrap_or_else(|Wrong(_, problem)| panic!("{problem}"));
        let vm = |guest, mode, memory, arguments: &[&str]| VmSpec {
            guest,
            mode,
            memory,
            arguments: arguments.iter().map(|&argument| argument.into()).collect(),
        };
        let expected = Experiment {
            name: "pingpong".into(),
            schedule: ScheduleSpec::String("1122".into()),
            turns: Some(10),
            seed: None,
            timeout: None,
            vms: vec![
                vm(VmGuest::Named("pingpong".into()), None, 4 << 20, &["ping", "é"]),
                vm(VmGuest::Image("/here/pong.elf".into()), Some(CpuMode::Long), 1 << 20, &[]),
            ],
        };
        assert_eq!(experiment, expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let replaced = |old: &str, new: &str| {
            assert!(PINGPONG.contains(old), "{old}");
            wrong(&PINGPONG.replacen(old, new, 1))
        };
        for (old, new, place, problem) in [
            ("turns = 10", "turn = 10", (4, 1), "unknown field `turn`"),
            ("arguments =", "argument =", (9, 1), "unknown field `argument`"),
            ("turns = 10", "turns = -1", (4, 9), "invalid value"),
            ("turns = 10", "turns = \"ten\"", (4, 9), "invalid type"),
            ("turns = 10", "turns = ", (4, 9), ""),
            ("string:1122", "string:1132", (3, 12), "'3' does not name a VM"),
            ("string:1122", "sometimes", (3, 12), "`sometimes` is not a schedule"),
            ("string:1122", "free", (3, 12), "free"),
            ("string:1122", "file:/no/such", (3, 12), "cannot read the schedule /no/such"),
            ("\"4M\"", "\"4X\"", (5, 10), "a size is a number of bytes"),
            ("0x100000", "17", (13, 10), "a multiple of 4096"),
            ("\"long\"", "\"short\"", (14, 8), "a CPU mode is one of real, protected, paged, long"),
            ("guest = \"pingpong\"", "guest = \"./x.elf\"", (8, 9), "this is not a guest's name"),
            ("image = \"pong.elf\"", "", (11, 1), "a `guest` or an `image`"),
            ("image = ", "guest = \"x\"\nimage = ", (11, 1), "a `guest` or an `image`"),
            ("\"ping\"", "\"\\u0000\"", (9, 14), "an argument cannot hold a NUL"),
            ("name = \"pingpong\"", "name = \"ping pong\"", (2, 8), "letters, digits"),
            ("name = \"pingpong\"", "name = \"a\"\nname = \"b\"", (3, 1), "duplicate key"),
        ] {
            let (found, text) = replaced(old, new);
            assert_eq!(found, Some(place), "{new}: {text}");
            assert!(text.contains(problem), "{new}: {text}");
        }
        let long = format!("\"{}\"", "x".repeat(MAX_ARGUMENTS_SIZE as usize));
        assert_eq!(replaced("\"ping\"", &long).0, Some((9, 14)));
        assert!(wrong("name = \"x\"").1.contains("missing field `vm`"));
        assert!(wrong("name = \"x\"\nvm = []").1.contains("1 to 32 VMs"));
        let many = "name = \"x\"\n".to_owned() + &"[[vm]]\nguest = \"x\"\n".repeat(33);
        assert!(wrong(&many).1.contains("but this one has 33"));
    }

    proptest! {
        /// Any text is an experiment, or wrong at a place that is in it.
        #[test]
        fn any_text_is_parsed_or_refused(
            cut in 0..PINGPONG.len(),
            insert in "[a-z=\"\\[\\]0-9\n \u{e9}.-]{0,6}",
            skip in 0_usize..8,
        ) {
            let (head, tail) = (PINGPONG.get(..cut).unwrap_or(""), PINGPONG.get(cut + skip..).unwrap_or(""));
            let text = format!("{head}{insert}{tail}");
            if let Err(Wrong(Some(span), _)) = parse(&text, Path::new("")) {
                let place = Place::of(&text, span);
                prop_assert!(place.line <= text.matches('\n').count() + 1);
            }
        }
    }
}
