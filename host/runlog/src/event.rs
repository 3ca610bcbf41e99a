//! What happens in a run, as the outputs see it. The fields that JSON lines have, and their
//! names, are a contract; nothing in `run`, `turn` and `end` depends on the clock.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use guest_abi::{ring::Ring, transition::Role};
use log::Level;
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    conduct::{Habit, Record},
    ring_check::States,
    text::visible_line,
};

/// An event. As JSON it is one object whose `event` field says which.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    /// An exchange begins.
    Run(Run<'a>),
    /// A guest printed something.
    Console(Console<'a>),
    /// A guest logged something that `--log` lets through.
    Log(Log<'a>),
    /// A turn is over and its items are adopted.
    Turn(Turn<'a>),
    /// A turn of an experiment without a ring is over: as JSON a `turn`, too.
    #[serde(rename = "turn")]
    Relay(Relay<'a>),
    /// A guest ended other than it should.
    Crash(CrashEvent<'a>),
    /// An exchange is over.
    End(End),
    /// A guest with the devices of a PC has ended, and this is on its text screen.
    Screen(ScreenEvent<'a>),
    /// A guest that ran alone is done.
    Exit(ExitEvent<'a>),
    /// A guest printed more than it may, and the rest was dropped.
    Dropped(Dropped<'a>),
    /// How many instructions guests executed, and in which functions.
    Profile(ProfileEvent),
    /// Where the exits and the time of a run went. Times differ from run to run.
    Stats(StatsEvent),
}

/// See [`Event::Run`].
#[derive(Debug, Serialize)]
pub struct Run<'a> {
    /// The experiment's name.
    pub experiment: String,
    /// The host's ABI version.
    pub abi: String,
    /// The seed of all chance.
    pub seed: u64,
    /// The ring's capacity in items, where there is a ring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// The schedule, as written.
    pub schedule: String,
    /// The number of turns; `None` where only `items` ends the run.
    pub turns: Option<u64>,
    /// The number of items after which the run ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// Whether the same options give the same run; it is said only where they do not.
    #[serde(skip_serializing_if = "is_true")]
    pub repeatable: bool,
    /// The guests, in the order of their VMs.
    pub guests: Vec<Guest<'a>>,
}

/// A guest of an experiment.
#[derive(Debug, Serialize)]
pub struct Guest<'a> {
    /// The VM's number, from 1.
    pub vm: u32,
    /// The image's name.
    pub name: &'a str,
    /// What the guest does, in an exchange of producers and consumers.
    #[serde(serialize_with = "optional_role_name", skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The SHA-256 of the image's file.
    pub sha256: &'a str,
}

/// See [`Event::Console`].
#[derive(Debug, Serialize)]
pub struct Console<'a> {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: &'a str,
    /// What it printed, as text; what is no UTF-8 is replaced.
    #[serde(serialize_with = "lossy_text")]
    pub text: &'a [u8],
}

/// See [`Event::Log`].
#[derive(Debug, Serialize)]
pub struct Log<'a> {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: &'a str,
    /// How grave it is: `error`, `warn`, `info`, `debug` or `trace`.
    #[serde(serialize_with = "level_name")]
    pub level: Level,
    /// What it is about.
    pub target: &'a str,
    /// The record itself.
    pub message: &'a str,
}

/// See [`Event::Turn`].
#[derive(Debug, Serialize)]
pub struct Turn<'a> {
    /// The turn's number, from 1.
    pub turn: u64,
    /// The VM's number.
    pub vm: u32,
    /// What its guest does.
    #[serde(serialize_with = "role_name")]
    pub role: Role,
    /// The items that moved, in order.
    pub items: &'a [u32],
    /// The slot that the next produced item goes to.
    pub prod_p: u32,
    /// The slot of the next item to consume.
    pub cons_p: u32,
    /// The number of items in the ring.
    pub count: u32,
    /// The number of VM exits that the turn cost.
    pub exits: u64,
    /// For a consumer's turn in an exchange of more than two VMs: the VM that made each item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<u32>>,
    /// The ring after the turn, for those who draw it.
    #[serde(skip)]
    pub ring: &'a Ring,
}

/// See [`Event::Relay`].
#[derive(Debug, Serialize)]
pub struct Relay<'a> {
    /// The turn's number, from 1.
    pub turn: u64,
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: &'a str,
    /// What the guest left in the mailbox, as words.
    pub mailbox: Vec<u32>,
    /// The number of VM exits that the turn cost.
    pub exits: u64,
}

/// See [`Event::Crash`].
#[derive(Debug, Serialize)]
pub struct CrashEvent<'a> {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: &'a str,
    /// The number of the turn in which it ended; `None` before the first and for a guest that
    /// runs alone.
    pub turn: Option<u64>,
    /// The reason's name.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// The name of a broken rule of the ring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// The instruction pointer, where it means something.
    pub address: Option<u64>,
    /// Where the guest's source says that it happened.
    #[serde(flatten)]
    pub location: Option<Location>,
    /// What to try next.
    pub hint: Cow<'static, str>,
    /// For a broken rule of the ring: the last good state and the claimed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states: Option<&'a States>,
    /// What else can be said.
    #[serde(flatten)]
    pub report: Option<CrashDetails>,
}

/// The details of a crash: the state in which the host found the guest's CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CrashDetails {
    /// The CPU mode's name.
    pub mode: &'static str,
    /// The code around the instruction at which the guest stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instructions: Vec<Instruction>,
    /// The registers by name, in the order in which people read them.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub registers: Vec<(&'static str, u64)>,
    /// The calls, the innermost first.
    pub backtrace: Vec<Frame>,
    /// The number of calls that were left out at the end.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_calls: usize,
    /// The last exits, in words.
    pub exits: Vec<String>,
}

/// An instruction of a guest's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// Its address.
    pub address: u64,
    /// Its assembly text.
    pub text: String,
    /// True for the instruction at which the guest stopped.
    pub here: bool,
}

/// A call of a backtrace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// A place in a guest's source.
#[derive(Debug, Serialize)]
pub struct Location {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// See [`Event::End`].
#[derive(Debug, Serialize)]
pub struct End {
    /// The number of turns that were finished.
    pub turns: u64,
    /// What moved, where there is a ring.
    #[serde(flatten)]
    pub account: Option<Account>,
    /// The ring's rule that was broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// What breaks no rule and is not as the task asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Exits by VM and kind.
    pub exits: BTreeMap<u32, Exits>,
}

/// What moved through a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The number of items that were produced.
    pub produced: u64,
    /// The number of items that were consumed.
    pub consumed: u64,
    /// The number of items in the ring.
    pub left: u32,
    /// Whether what came out is what went in.
    pub audit: Audit,
}

/// A guest's habit where the task asks for chance: no rule forbids it in any single turn.
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
    /// The habits of a VM's guest, of which there is this record.
    pub fn all(vm: u32, name: &str, role: Role, record: &Record) -> Vec<Self> {
        let finding = |habit: Habit| Self {
            vm,
            name: name.into(),
            finding: habit.name().into(),
            message: habit.to_string(),
        };
        record.habits(role).map(finding).collect()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vm, name, message, .. } = self;
        // A name from a file is one line as well.
        let text = format!("VM {vm}, {name}: {message}");
        f.write_str(&visible_line(&text))
    }
}

/// The audit's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audit {
    /// All that came out is what went in, in order; the rest is in the ring.
    Ok,
    /// A guest broke the ring's rules, or the accounts differ.
    Failed,
}

/// One VM's exits.
#[derive(Debug, Serialize)]
pub struct Exits {
    /// By kind.
    #[serde(flatten)]
    pub by_kind: BTreeMap<&'static str, u64>,
    /// All.
    pub total: u64,
}

/// See [`Event::Exit`].
#[derive(Debug, Serialize)]
pub struct ExitEvent<'a> {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: &'a str,
    /// Its exit status.
    pub status: u32,
    /// The device of `--pc` that ended it, if one did: `exit-port`, `power-off` or `reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'static str>,
    /// What it wrote to the exit port, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<u32>,
    /// Its exits.
    pub exits: Exits,
}

/// See [`Event::Screen`].
#[derive(Debug, Serialize)]
pub struct ScreenEvent<'a> {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: &'a str,
    /// The guest-physical address of the screen's memory.
    pub address: u32,
    /// The rows up to the last that shows something, without the blanks at their ends.
    pub lines: &'a [String],
}

/// See [`Event::Dropped`].
#[derive(Debug, Serialize)]
pub struct Dropped<'a> {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: &'a str,
    /// The number of bytes that were dropped.
    pub bytes: u64,
    /// The number of bytes that it may print.
    pub limit: u64,
}

/// See [`Event::Stats`].
#[derive(Debug, Serialize)]
pub struct StatsEvent {
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
    /// The time in the guest that ended with such an exit.
    pub guest_us: f64,
    /// The time in which the host handled these exits.
    pub host_us: f64,
}

/// For example `out 0xf4, 32-bit`, or `hlt`.
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

/// See [`Event::Profile`].
#[derive(Debug, Serialize)]
pub struct ProfileEvent {
    /// The VMs in order.
    pub vms: Vec<VmProfile>,
}

/// The instructions that one VM's guest executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VmProfile {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// All.
    pub instructions: u64,
    /// Those up to where it attached its mailbox, if it did.
    pub boot: Option<u64>,
    /// Those of its turns, if it had any.
    pub turns: Option<TurnsProfile>,
    /// By function, the greatest number first.
    pub functions: Vec<FunctionProfile>,
}

/// What turns cost in instructions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TurnsProfile {
    /// The number of turns that were finished.
    pub count: u64,
    /// The instructions of all of them.
    pub instructions: u64,
    /// Those of the cheapest.
    pub min: u64,
    /// Half of the turns cost at most so many.
    pub median: u64,
    /// Those of the dearest.
    pub max: u64,
}

/// What a function cost in instructions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionProfile {
    /// Its name; `None` is code without a symbol.
    pub function: Option<String>,
    /// The instructions that were written in it, without those of functions that it calls or has inlined.
    pub instructions: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn role_name<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.name())
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn optional_role_name<S: Serializer>(role: &Option<Role>, serializer: S) -> Result<S::Ok, S::Error> {
    role.map(Role::name).serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn level_name<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&level.as_str().to_lowercase())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_true(value: &bool) -> bool {
    *value
}

fn lossy_text<S: Serializer>(text: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(text))
}

fn as_map<S: Serializer>(registers: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(registers.iter().copied())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_one(number: &usize) -> bool {
    *number == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
