//! The events of a run: one schema for the lines that are written and for those that are read.
//!
//! As JSON, an event is one object whose `event` field has its kind. The fields and their names are a contract, and nothing
//! in `run`, `turn` and `end` depends on the clock. A reader ignores fields and kinds that it does not know: a newer host
//! may write more of them.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use guest_abi::{
    ring::{Capacity, Ring},
    transition::Role,
};
use log::Level;
use serde::{Deserialize, Serialize};

use crate::{
    conduct::{Habit, Record, Weight},
    encoding,
    header::Header,
    ring_check::States,
    text::escape_line,
};

/// An event of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    /// The first line of a recording.
    Recording(Box<Header>),
    /// An experiment begins.
    Run(Box<Run>),
    /// A guest printed text.
    Console(Console<'a>),
    /// A guest logged a record that `--log` lets through.
    Log(Log<'a>),
    /// A turn is over and was accepted.
    Turn(Turn<'a>),
    /// A guest failed.
    Crash(Box<Crash>),
    /// An experiment is over.
    End(Box<End>),
    /// The text screen of a guest with the devices of a PC, after the guest's end.
    Screen(Screen),
    /// A guest that ran alone has ended.
    Exit(Exited),
    /// A guest printed more than it may, and the rest was dropped.
    Dropped(Dropped),
    /// The number of instructions that guests executed, by function.
    Profile(Profile),
    /// The exits and the times of a run. Times differ from run to run.
    Stats(Stats),
    /// An event of a newer host.
    #[serde(other, skip_serializing)]
    Other,
}

/// The beginning of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The experiment's name.
    pub experiment: String,
    /// The engine that ran the guests. Runs without it were made by KVM, which was the only one.
    #[serde(default = "kvm")]
    pub engine: String,
    /// The host's ABI version.
    pub abi: String,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The ring's capacity in items, in an experiment with a ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// The schedule, as written.
    pub schedule: String,
    /// The planned number of turns; `None` if only `items` ends the run.
    pub turns: Option<u64>,
    /// The number of items after which the run ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// True if the same options give the same run. Only `false` is written.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub repeatable: bool,
    /// The guests, in the order of their VMs.
    pub guests: Vec<Guest>,
}

impl Run {
    /// The ring's capacity, in an experiment with a ring.
    pub fn ring(&self) -> Option<Capacity> {
        self.capacity.and_then(Capacity::new)
    }

    /// The guest of a VM.
    pub fn guest(&self, vm: u32) -> Option<&Guest> {
        self.guests.get((vm as usize).checked_sub(1)?)
    }
}

/// A guest of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// The VM's number, from 1.
    pub vm: u32,
    /// The image's name.
    pub name: String,
    /// The guest's side, in an exchange of producers and consumers.
    #[serde(default, with = "encoding::optional_role", skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The SHA-256 of the image's file.
    pub sha256: String,
}

/// Text that a guest printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console<'a> {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    #[serde(default)]
    pub name: Cow<'a, str>,
    /// The text. As JSON, bytes that are not UTF-8 are replaced.
    #[serde(with = "encoding::text")]
    pub text: Cow<'a, [u8]>,
}

/// A record that a guest logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log<'a> {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    #[serde(default)]
    pub name: Cow<'a, str>,
    /// The level: `error`, `warn`, `info`, `debug` or `trace`.
    #[serde(with = "encoding::level")]
    pub level: Level,
    /// The part of the guest that logged the record.
    pub target: Cow<'a, str>,
    /// The record's text.
    pub message: Cow<'a, str>,
}

/// A turn that is over. A recording has millions of them, which take about as much memory as the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Turn<'a> {
    /// The turn's number, from 1.
    pub turn: u64,
    /// The VM's number.
    pub vm: u32,
    /// The action of the VM's guest.
    #[serde(flatten)]
    pub action: Action<'a>,
    /// The number of VM exits in the turn.
    pub exits: u64,
    /// In a consumer's turn of an exchange of more than two VMs: the VM that made each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<[u32]>>,
    /// The ring after the turn, while the run goes on.
    #[serde(skip)]
    pub ring: Option<&'a Ring>,
}

/// Turns are equal if all is equal that the run's log has.
impl PartialEq for Turn<'_> {
    fn eq(&self, other: &Self) -> bool {
        let logged = |turn: &Self| (turn.turn, turn.vm, turn.exits);
        logged(self) == logged(other) && self.action == other.action && self.from == other.from
    }
}

/// The action of a guest in a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Action<'a> {
    /// It moved items into the ring or out of it.
    Moved(Moved<'a>),
    /// It left a message in the mailbox, in an experiment without a ring.
    Left {
        /// The guest's name.
        #[serde(default)]
        name: Cow<'a, str>,
        /// The message, as words.
        mailbox: Cow<'a, [u32]>,
    },
}

/// Items that moved through the ring, and the ring's pointers after the turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved<'a> {
    /// The side of the VM's guest.
    #[serde(with = "encoding::role")]
    pub role: Role,
    /// The items, in order.
    pub items: Cow<'a, [u32]>,
    /// The slot of the next item to produce.
    pub prod_p: u32,
    /// The slot of the next item to consume.
    pub cons_p: u32,
    /// The number of items in the ring.
    pub count: u32,
}

/// The failure of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// The number of the turn in which it happened; `None` before the first, and for a guest that
    /// runs alone.
    pub turn: Option<u64>,
    /// The reason's name.
    pub reason: Cow<'static, str>,
    /// The reason in words.
    pub message: String,
    /// The name of the ring's rule that was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'static, str>>,
    /// The instruction pointer, if it means something.
    #[serde(default)]
    pub address: Option<u64>,
    /// The place in the guest's source.
    #[serde(flatten)]
    pub location: Option<Location>,
    /// A hint what to try next.
    #[serde(default)]
    pub hint: Cow<'static, str>,
    /// For a broken rule of the ring: the last good state and the claimed one.
    #[serde(default, deserialize_with = "encoding::if_possible", skip_serializing_if = "Option::is_none")]
    pub states: Option<States>,
    /// The state of the guest's CPU.
    #[serde(flatten)]
    pub details: Option<CrashDetails>,
}

impl Crash {
    /// Returns the name of the broken rule of the ring. Older hosts wrote it into the message only.
    pub fn broken_rule(&self) -> Option<&str> {
        let in_message = || Some(self.message.strip_prefix("broke the ring's rule `")?.split_once('`')?.0);
        self.rule.as_deref().or_else(in_message)
    }

    /// Returns the reason's name, with the name of a broken rule.
    pub fn kind(&self) -> String {
        self.broken_rule().map_or_else(|| self.reason.to_string(), |rule| format!("{}: {rule}", self.reason))
    }

    /// Returns the first line of the message. The other lines show the two rings, if a rule was broken.
    pub fn headline(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// Returns true if a time limit ended the run. Another run of the same guests may end differently.
    pub fn is_time_dependent(&self) -> bool {
        matches!(&*self.reason, "deadline" | "turn-timeout")
    }
}

/// A place in a guest's source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The file.
    pub file: String,
    /// The line, from 1.
    #[serde(default)]
    pub line: u32,
    /// The column, from 1.
    #[serde(default)]
    pub column: u32,
}

/// The details of a crash: the state in which the host found the guest's CPU. A field that is missing was not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CrashDetails {
    /// The CPU mode's name.
    pub mode: Cow<'static, str>,
    /// The code around the instruction at which the guest stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instructions: Vec<Instruction>,
    /// The registers by name. The host writes them in the order in which people read them.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "encoding::registers")]
    pub registers: Vec<(Cow<'static, str>, u64)>,
    /// The calls, the innermost first.
    pub backtrace: Vec<Frame>,
    /// The number of calls that were left out at the end.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_calls: usize,
    /// The last exits, in words.
    pub exits: Vec<String>,
    /// The last instructions up to the first call of the backtrace, the newest last, as lines of a trace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub last_instructions: Vec<String>,
}

impl CrashDetails {
    /// The registers in the order of their names, as a log that was read has them.
    pub fn registers_by_name(&self) -> Vec<(&str, u64)> {
        let mut registers: Vec<_> = self.registers.iter().map(|(name, value)| (&**name, *value)).collect();
        registers.sort_unstable();
        registers
    }
}

/// An instruction of a guest's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// Its address.
    pub address: u64,
    /// Its assembly text.
    pub text: String,
    /// True for the instruction at which the guest stopped.
    #[serde(default)]
    pub here: bool,
}

/// A call of a backtrace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// The address at which the calling function continues; for the first frame, the address of the instruction.
    pub address: u64,
    /// The function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The source file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The number of equal calls that follow each other.
    #[serde(skip_serializing_if = "is_one")]
    pub times: usize,
}

impl Default for Frame {
    fn default() -> Self {
        Self { address: 0, function: None, file: None, line: None, column: None, times: 1 }
    }
}

/// The end of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The number of turns that were finished.
    pub turns: u64,
    /// The items that moved, in an experiment with a ring.
    #[serde(flatten)]
    pub totals: Option<Totals>,
    /// The ring's rule that was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'static, str>>,
    /// Habits that break no rule and are not what the task asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Exits by VM and kind.
    #[serde(with = "encoding::by_vm")]
    pub exits: BTreeMap<u32, ExitCounts>,
}

/// The exits of a VM: by kind, and `total`.
pub type ExitCounts = BTreeMap<Cow<'static, str>, u64>;

/// The items that moved through a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The number of items that were produced.
    pub produced: u64,
    /// The number of items that were consumed.
    pub consumed: u64,
    /// The number of items in the ring.
    pub left: u32,
    /// The verdict: whether the consumed items are the produced ones.
    pub audit: CheckResult,
}

/// A habit of a guest that should choose at random. No rule forbids it in a single turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// The habit's name.
    pub finding: String,
    /// The habit in words.
    pub message: String,
}

impl Finding {
    /// Returns the habits of a VM's guest that its record proves for a consequence.
    pub fn all(vm: u32, name: &str, role: Role, record: &Record, weight: Weight) -> Vec<Self> {
        let finding = |habit: Habit| Self {
            vm,
            name: name.into(),
            finding: habit.name().into(),
            message: habit.to_string(),
        };
        record.habits(role, weight).map(finding).collect()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vm, name, message, .. } = self;
        // The name may come from a file, and must stay on one line.
        let text = format!("VM {vm}, {name}: {message}");
        f.write_str(&escape_line(&text))
    }
}

/// The audit's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// All consumed items are the produced ones, in order; the rest is in the ring.
    Ok,
    /// A guest broke the ring's rules, or the totals differ.
    Failed,
}

/// The end of a guest that ran alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exited {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    #[serde(default)]
    pub name: String,
    /// Its exit status.
    pub status: u32,
    /// The device of `--pc` that ended it, if one did: `exit-port`, `power-off` or `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Cow<'static, str>>,
    /// The value that it wrote to the exit port, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u32>,
    /// Its exits.
    pub exits: ExitCounts,
}

/// The content of a text screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    #[serde(default)]
    pub name: String,
    /// The guest-physical address of the screen's memory.
    #[serde(default)]
    pub address: u32,
    /// The rows up to the last one that is not blank, without blanks at their ends.
    pub lines: Vec<String>,
}

/// The part of a guest's text that was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    #[serde(default)]
    pub name: String,
    /// The number of bytes that were dropped.
    pub bytes: u64,
    /// The number of bytes that it may print.
    pub limit: u64,
}

/// Exits and times of all VMs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The VMs in order.
    pub vms: Vec<VmStats>,
}

/// One VM's statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VmStats {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// Its exits.
    pub exits: Vec<StatsRow>,
}

/// One kind of exit. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatsRow {
    /// The kind.
    pub reason: String,
    /// The port, for a port access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `in` or `out`, for a port access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// The size in bytes, for a port access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u8>,
    /// The number of such exits.
    pub count: u64,
    /// The time in the guest that ended with such an exit, with the entry and the exit themselves.
    pub guest_us: f64,
    /// The time in which the host handled these exits.
    pub host_us: f64,
}

/// Writes a port access as `out 0xf4, 32-bit`, and any other exit as its kind.
impl fmt::Display for StatsRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.direction, self.port, self.size) {
            (Some(direction), Some(port), Some(size)) => {
                write!(f, "{direction:<3} {port:#x}, {}-bit", 8 * u32::from(size))
            }
            _ => f.write_str(&self.reason),
        }
    }
}

/// The instructions that all VMs' guests executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The VMs in order.
    pub vms: Vec<VmProfile>,
}

/// The instructions that one VM's guest executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmProfile {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// All instructions.
    pub instructions: u64,
    /// The instructions until it attached its mailbox, if it did.
    pub boot: Option<u64>,
    /// The instructions of its turns, if it had any.
    pub turns: Option<TurnsProfile>,
    /// The instructions by function, the greatest number first.
    pub functions: Vec<FunctionProfile>,
    /// The instructions by source line, the greatest number first: 1000 lines at most, of those that are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineProfile>,
}

/// The instructions of turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnsProfile {
    /// The number of turns that were finished.
    pub count: u64,
    /// The instructions of all turns.
    pub instructions: u64,
    /// The instructions of the shortest turn.
    pub min: u64,
    /// The median of the instructions of a turn.
    pub median: u64,
    /// The instructions of the longest turn.
    pub max: u64,
}

/// The instructions of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionProfile {
    /// Its name; `None` is code without a symbol.
    pub function: Option<String>,
    /// Its own instructions, without those of functions that it calls or has inlined.
    pub instructions: u64,
}

/// The instructions of a source line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineProfile {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// Its instructions, with those of library code that was inlined into it.
    pub instructions: u64,
}

fn kvm() -> String {
    "kvm".into()
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_one(number: &usize) -> bool {
    *number == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
