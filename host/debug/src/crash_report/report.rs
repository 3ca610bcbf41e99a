//! The report of a guest's end, for people and programs.

use std::fmt;

use guest_abi::port::Port;

use super::{
    code::{Code, Line},
    crash_dump::CrashDump,
    limited_reader::Budget,
    source_paths::{is_of_runtime, is_of_rust},
    symbols::{SourceLocation, Symbols},
};
use guestlab_cpu::{CpuState, Direction, Exit};
use guestlab_runlog::{
    event::{CrashDetails, Frame, Instruction},
    text::escape_line,
};
use guestlab_vmm::{foreign, pc::device_at};

/// The most calls that are shown.
const MOST_FRAMES: usize = 12;

/// The most characters of a name that are shown. The image chooses its names.
const LONGEST_NAME: usize = 100;

/// The parts of a report.
#[derive(Clone, Copy, Debug)]
pub enum ReportOptions<'a> {
    /// All parts, for a guest that an instruction ended.
    All,
    /// Only the calls, for a guest that ended itself.
    Calls,
    /// Only the calls that led to this file and line, for a panic.
    CallsTo(&'a str, u32),
}

/// The report of a guest's end.
#[derive(Clone, Debug)]
pub struct Report {
    address: Option<u64>,
    details: CrashDetails,
    /// The number of hexadecimal digits of an address.
    digits: usize,
}

impl Report {
    /// Makes a report from a dump.
    pub fn of(dump: &CrashDump, wanted: ReportOptions<'_>) -> Self {
        let budget = Budget::new();
        let symbols = Symbols::of(&dump.image.file, &budget);
        let (mut instructions, mut registers) = (Vec::new(), Vec::new());
        let (mut address, mut backtrace) = (None, Vec::new());
        let mode = dump.registers.as_ref().map_or(dump.image.mode, CpuState::mode);
        if let Some(state) = &dump.registers {
            let code = Code { bits: state.bits(), read: &|address, len| dump.code_at(address, len) };
            let pointer = state.instruction();
            let start = symbols.function_start(pointer.saturating_sub(1));
            let culprit = |exit: &Exit| match exit {
                // The registers are those of the interrupted instruction.
                Exit::Out { port, .. } if *port == Port::Trap as u16 => pointer,
                exit => code.culprit(pointer, start, exit, state),
            };
            let here = dump.exits.last().filter(|_| !dump.is_exact).map_or(pointer, culprit);
            backtrace.extend(frames(here, symbols.places(here)));
            if matches!(wanted, ReportOptions::All) {
                let shown = |Line { address, text }| Instruction { address, text, here: address == here };
                instructions.extend(code.around(here, symbols.function_start(here)).into_iter().map(shown));
                registers.extend(state.named().into_iter().map(|(name, value)| (name.into(), value)));
                address = Some(here);
            }
        }
        backtrace.extend(
            dump.callers
                .iter()
                .flat_map(|&address| frames(address, symbols.places(address.saturating_sub(1)))),
        );
        if let ReportOptions::CallsTo(file, line) = wanted {
            let is_there = |frame: &Frame| {
                frame.line == Some(line) && frame.file.as_deref().is_some_and(|it| same_file(it, file))
            };
            let first = backtrace.iter().position(is_there).unwrap_or(0);
            backtrace.drain(..first);
        }
        leave_out(&mut backtrace, is_of_rust);
        if matches!(wanted, ReportOptions::Calls) {
            leave_out(&mut backtrace, is_of_runtime);
        }
        let named = |frame: &Frame| place(frame) != SourceLocation::default();
        // Calls below the last one with a name are boot code.
        backtrace.truncate(backtrace.iter().rposition(named).map_or(1, |last| last + 1));
        backtrace.dedup_by(|next, frame| {
            let same = place(next) == place(frame) && place(next) != SourceLocation::default();
            frame.times += usize::from(same);
            same
        });
        let more_calls = backtrace.len().saturating_sub(MOST_FRAMES);
        backtrace.truncate(MOST_FRAMES);
        let digits = if state_is_wide(dump) { 16 } else { 8 };
        let exits = exits(&dump.exits, dump.image.is_foreign());
        let mode = mode.name().into();
        let last = dump.last.up_to(backtrace.first().map(|frame| frame.address));
        // The image chooses the names of its functions.
        let last_instructions = last.iter().map(|line| escape_line(line)).collect();
        let details =
            CrashDetails { mode, instructions, registers, backtrace, more_calls, exits, last_instructions };
        Self { address, details, digits }
    }

    /// Returns the address of the instruction of the crash, in a report with all parts.
    pub fn address(&self) -> Option<u64> {
        self.address
    }

    /// Returns the innermost call.
    pub fn first_frame(&self) -> Option<&Frame> {
        self.details.backtrace.first()
    }

    /// Returns the details for the run's log.
    pub fn into_details(self) -> CrashDetails {
        self.details
    }
}

impl CrashDump {
    pub(super) fn code_at(&self, address: u64, len: usize) -> Vec<u8> {
        let (start, bytes) = &self.code;
        let from = address.checked_sub(*start).and_then(|from| usize::try_from(from).ok());
        let bytes = from.and_then(|from| bytes.get(from..)).unwrap_or(&[]);
        bytes[..len.min(bytes.len())].to_vec()
    }
}

fn state_is_wide(dump: &CrashDump) -> bool {
    dump.registers.as_ref().is_some_and(|state| state.bits() == 64)
}

/// Returns the calls of an address: one without a name, if nothing is known.
fn frames(address: u64, places: Vec<SourceLocation>) -> impl Iterator<Item = Frame> {
    let places = if places.is_empty() { vec![SourceLocation::default()] } else { places };
    places.into_iter().map(move |SourceLocation { function, file, line, column }| Frame {
        address,
        function,
        file,
        line,
        column,
        times: 1,
    })
}

/// Returns the source location of a call.
fn place(frame: &Frame) -> SourceLocation {
    let Frame { function, file, line, column, .. } = frame.clone();
    SourceLocation { function, file, line, column }
}

/// Removes the innermost calls up to the guest's own code, if there is any: calls inside of libraries do not help.
fn leave_out(backtrace: &mut Vec<Frame>, is_others: impl Fn(&str) -> bool) {
    let is_own = |frame: &Frame| frame.file.as_deref().is_some_and(|file| !is_others(file));
    let own = backtrace.iter().position(is_own).unwrap_or(0);
    backtrace.drain(..own);
}

/// Returns true if two names mean one file. Leading folders may be missing.
fn same_file(one: &str, other: &str) -> bool {
    one.ends_with(other) || other.ends_with(one)
}

/// Returns exits in words. Equal exits in a row are one, with their number.
fn exits(exits: &[Exit], foreign: bool) -> Vec<String> {
    let mut counted: Vec<(usize, String)> = Vec::new();
    for exit in exits {
        let text = shown_exit(exit, foreign);
        match counted.last_mut() {
            Some((count, last)) if *last == text => *count += 1,
            _ => counted.push((1, text)),
        }
    }
    let shown = |(count, text)| if count == 1 { text } else { format!("{count} x {text}") };
    counted.into_iter().map(shown).collect()
}

fn shown_exit(exit: &Exit, foreign: bool) -> String {
    let name = |port| match (foreign::hypercall(port, foreign), device_at(port).filter(|_| foreign)) {
        (Some(port), _) => format!(" ({port:?})"),
        (None, Some(device)) => format!(" ({})", device.name),
        (None, None) => String::new(),
    };
    match *exit {
        Exit::Out { port, .. } => format!("out {port:#x}{}", name(port)),
        Exit::In { port, .. } => format!("in {port:#x}{}", name(port)),
        Exit::Mmio { address, len, direction: Direction::In } => {
            format!("read of {len} bytes at {address:#x}")
        }
        Exit::Mmio { address, len, direction: Direction::Out } => {
            format!("write of {len} bytes at {address:#x}")
        }
        Exit::Halt { .. } => "hlt".into(),
        Exit::InterruptWindow => "ready for an interrupt".into(),
        Exit::Priority => "a lower priority (CR8)".into(),
        Exit::Shutdown => "shutdown".into(),
        Exit::FailEntry { reason } => format!("entry refused ({reason:#x})"),
        Exit::InternalError { suberror } => format!("internal error ({suberror})"),
        Exit::Debug { .. } => "stopped for the debugger".into(),
        Exit::Interrupted => "interrupted by the host".into(),
        Exit::Other { reason } => format!("KVM's exit reason {reason}"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CrashDetails { mode, instructions, registers, backtrace, more_calls, exits, last_instructions } =
            &self.details;
        write!(f, "\n  mode   {mode}")?;
        for (index, Instruction { address, text, here }) in instructions.iter().enumerate() {
            let label = if index == 0 { "code" } else { "" };
            let mark = if *here { '>' } else { ' ' };
            write!(f, "\n  {label:<5}{mark} {address:#0width$x}  {text}", width = self.digits + 2)?;
        }
        for (index, row) in registers.chunks(if self.digits == 16 { 4 } else { 6 }).enumerate() {
            let label = if index == 0 { "regs" } else { "" };
            let cells =
                row.iter().map(|(name, value)| format!("{name} {value:0width$x}", width = self.digits));
            write!(f, "\n  {label:<5}  {}", cells.collect::<Vec<_>>().join("  "))?;
        }
        let names: Vec<String> = backtrace.iter().map(name).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (index, (frame, name)) in backtrace.iter().zip(&names).enumerate() {
            let label = if index == 0 { "calls" } else { "" };
            write!(
                f,
                "\n  {label:<5}  {}",
                escape_line(format!("{name:<width$}  {}", source(frame)).trim_end())
            )?;
        }
        if *more_calls > 0 {
            write!(f, "\n         and {more_calls} more")?;
        }
        if !exits.is_empty() {
            write!(f, "\n  exits  {}", exits.join(", "))?;
        }
        for (index, line) in last_instructions.iter().enumerate() {
            let label = if index == 0 { "last" } else { "" };
            write!(f, "\n  {label:<5}  {line}")?;
        }
        Ok(())
    }
}

fn name(frame: &Frame) -> String {
    match &frame.function {
        Some(function) => cut(function),
        None => format!("{:#x}", frame.address),
    }
}

fn source(frame: &Frame) -> String {
    let Frame { file, line, .. } = frame;
    let file = file.as_deref().map_or(String::new(), cut);
    let line = line.map_or(String::new(), |line| format!(":{line}"));
    let times = if frame.times == 1 { String::new() } else { format!("  ({} times)", frame.times) };
    file + &line + &times
}

fn cut(name: &str) -> String {
    let mut cut: String = name.chars().take(LONGEST_NAME).collect();
    if cut.len() < name.len() {
        cut.push_str("...");
    }
    cut
}
