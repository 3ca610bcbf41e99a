//! The report of a guest's end and of its coverage, for an image with hostile debug information and a machine with hostile
//! registers and stack.

use arbitrary::{Arbitrary, Unstructured};
use guest_abi::mode::CpuMode;
use guestlab::{
    cpu::{CpuState, Direction, Executions, Exit, Values, Width},
    debug::{
        coverage::{CodeMap, Selection},
        crash_report::{CrashDump, ImageInfo, Report, ReportOptions},
    },
    runlog::coverage,
    views::coverage::lcov,
    vmm::{History, Image, Request},
};

use super::elf::{self, Section, Segment};

/// The address of the image's code: that of guests of guest-rt, or 0, as images that others built may have it.
const CODE: [u32; 2] = [0x7000, 0];

/// The address of the guest's stack.
const STACK: u32 = 0x3000;

/// The sections of debug information that are read, with the symbol table and its names at the end.
const SECTIONS: [&str; 11] = [
    ".debug_abbrev",
    ".debug_addr",
    ".debug_info",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
    ".symtab",
    ".strtab",
];

/// The state of the machine, but for what it has from the rest of the bytes.
#[derive(Arbitrary, Debug)]
struct State {
    at_zero: bool,
    mode: u8,
    bits: u8,
    general: [u32; 8],
    ip: Ip,
    bases: [u16; 2],
    stack: [u32; 16],
    exit: AnyExit,
    wanted: u8,
    lens: [u16; SECTIONS.len()],
}

#[derive(Arbitrary, Debug)]
enum Ip {
    InCode(u8),
    InStack(u8),
    Any(u64),
}

#[derive(Arbitrary, Debug)]
enum AnyExit {
    Out(u16),
    In(u16),
    Mmio(u64, u8, bool),
    Halt,
    Shutdown,
    InternalError(u32),
}

/// Makes the report.
pub fn run(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(state) = State::arbitrary(&mut data) else { return };
    let mut rest = data.take_rest();
    let sections = state.lens.map(|len| take(&mut rest, len.into()));
    let code = if rest.is_empty() { &[0xF4] } else { rest };
    let long = state.mode() == CpuMode::Long;
    let image = image(&sections, state.start(), code);
    let registers = state.registers();
    let mut history = History::default();
    history.push(&state.exit());
    let stack: Vec<u8> = state.stack.iter().flat_map(|word| word.to_le_bytes()).collect();
    let memory = [(state.start(), code), (STACK, &stack[..])];
    let evidence = CrashDump::take(&ImageInfo::of(&image), Some(registers), &history, |address, bytes| {
        memory.iter().any(|(start, there)| copy(*start, there, address, bytes))
    });
    let wanted = [ReportOptions::All, ReportOptions::Calls, ReportOptions::CallsTo("main.rs", 3)]
        [usize::from(state.wanted % 3)];
    let report = Report::of(&evidence, wanted);
    check(&report.to_string(), long);
    serde_json::to_string(&report.into_details()).expect("JSON");
    cover(&image, state.start());
}

/// Makes a report of coverage, of a run that executed each byte of the code.
fn cover(image: &Image, start: u32) {
    let Ok(map) = CodeMap::of(image, Selection::Tested) else { return };
    let executed = |address| Executions { address, count: 1, jumped: Some(address % 2) };
    let all: Vec<_> = (start..start + 64).map(|address| executed(address.into())).collect();
    map.counts().add(&all);
    let mut report = coverage::Report::default();
    map.add_to(&mut report);
    assert!(!lcov(&report).contains('\u{1b}'));
}

/// The image of this code, with these sections.
fn image(sections: &[&[u8]; SECTIONS.len()], start: u32, code: &[u8]) -> Image {
    let names = u32::try_from(SECTIONS.len()).expect("few");
    let section = |(&name, bytes): (&'static &str, &&'_ [u8])| match name {
        ".symtab" => (name, 2, names, bytes.len() / 16 * 16),
        ".strtab" => (name, 3, 0, bytes.len()),
        _ => (name, 1, 0, bytes.len()),
    };
    let sections: Vec<Section<'_>> = SECTIONS
        .iter()
        .zip(sections)
        .map(section)
        .zip(sections)
        .map(|((name, kind, link, len), bytes)| Section { name, kind, link, bytes: &bytes[..len] })
        .collect();
    let segments = [Segment { kind: 1, address: start, flags: 5, bytes: code }];
    let request = Request { mode: Some(CpuMode::Protected), ..Request::default() };
    Image::parse("hostile", elf::file(start, &segments, &sections), request).expect("a sound image")
}

/// Returns at most this many of the bytes.
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(len.min(bytes.len()));
    *bytes = rest;
    taken
}

/// Copies from a piece of memory, if all of it is there.
fn copy(start: u32, memory: &[u8], address: u64, bytes: &mut [u8]) -> bool {
    let from = address.checked_sub(start.into()).and_then(|from| usize::try_from(from).ok());
    let piece = from.and_then(|from| memory.get(from..)?.get(..bytes.len()));
    piece.map(|piece| bytes.copy_from_slice(piece)).is_some()
}

/// Checks that a report fits on a screen and cannot control the terminal.
fn check(report: &str, long: bool) {
    let lines: Vec<&str> = report.lines().collect();
    assert!(lines.len() <= 32, "{} lines (long mode: {long})", lines.len());
    assert!(lines.iter().all(|line| line.chars().count() <= 500), "a line too long: {report}");
    assert!(!report.chars().any(|character| character.is_control() && character != '\n'));
}

impl State {
    fn start(&self) -> u32 {
        CODE[usize::from(self.at_zero)]
    }

    fn mode(&self) -> CpuMode {
        CpuMode::ALL[usize::from(self.mode) % CpuMode::ALL.len()]
    }

    fn registers(&self) -> CpuState {
        let mut general = [0; 16];
        for (register, value) in general.iter_mut().zip(self.general) {
            *register = value.into();
        }
        let ip = match self.ip {
            Ip::InCode(offset) => u64::from(self.start()) + u64::from(offset),
            Ip::InStack(offset) => u64::from(STACK) + u64::from(offset),
            Ip::Any(ip) => ip,
        };
        let [code_base, stack_base] = self.bases.map(|base| u64::from(base & 0xF0));
        let bits = [16, 32, 64][usize::from(self.bits % 3)];
        let state = CpuState { general, ip, ..CpuState::real(0) };
        state.in_segments(self.mode(), bits, code_base, stack_base)
    }

    fn exit(&self) -> Exit {
        let width = Width::Byte;
        match self.exit {
            AnyExit::Out(port) => Exit::Out { port, width, values: Values::One(0) },
            AnyExit::In(port) => Exit::In { port, width, count: 1 },
            AnyExit::Mmio(address, len, write) => {
                let direction = if write { Direction::Out } else { Direction::In };
                Exit::Mmio { address, len: (len % 8 + 1).into(), direction }
            }
            AnyExit::Halt => Exit::Halt { interrupts: false },
            AnyExit::Shutdown => Exit::Shutdown,
            AnyExit::InternalError(suberror) => Exit::InternalError { suberror },
        }
    }
}
