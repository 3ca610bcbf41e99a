//! Names for addresses, from an image's debug information (DWARF) or its symbol table.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt::{self, Write},
    rc::Rc,
};

use super::{
    limited_reader::{Budget, File, Section},
    source_paths::is_of_rust,
};
use addr2line::{
    Context, Frame, Location,
    gimli::{Dwarf, Error as DwarfError, Reader},
};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolIndex, SymbolKind, read};

/// The most functions that are shown as inlined into one another at one address.
const MOST_INLINED: usize = 32;

/// The most bytes of a name that are kept. A few bytes of a hostile image can stand for an endless name.
const LONGEST_NAME: usize = 1000;

/// An image's file, read within a budget.
type Elf<'a> = read::File<'a, File<'a>>;

/// The names of an image's addresses. An image without debug information and symbol table has none.
pub(super) struct Symbols<'a> {
    elf: Option<Elf<'a>>,
    debug: Option<Context<Section<'a>>>,
    /// Functions of the symbol table, sorted by start: start, end, and index in the table.
    functions: Vec<(u64, u64, SymbolIndex)>,
}

/// A place in a guest's source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLocation {
    /// The function.
    pub function: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
}

impl<'a> Symbols<'a> {
    /// Reads the symbols of an image's file. The file may contain anything; reading ends with the budget.
    pub(super) fn of(bytes: &'a [u8], budget: &'a Budget) -> Self {
        let Ok(elf) = read::File::parse(File { bytes, budget }) else {
            return Self { elf: None, debug: None, functions: Vec::new() };
        };
        let section = |name: &str| elf.section_by_name(name).and_then(|section| section.data().ok());
        let debug = debug(|name| section(name).unwrap_or(&[]), budget);
        let functions = functions(&elf);
        Self { elf: Some(elf), debug, functions }
    }

    /// Returns the source locations of an address, the innermost first. There are several if functions were inlined, and
    /// none if nothing is known.
    pub(super) fn places(&self, address: u64) -> Vec<SourceLocation> {
        let places = self.debug_places(address);
        match self.function(address) {
            Some((_, index)) if places.is_empty() => {
                let symbol = self.elf.as_ref().and_then(|elf| elf.symbol_by_index(index).ok());
                let name = symbol.and_then(|symbol| symbol.name().ok());
                name.map(|name| SourceLocation {
                    function: Some(demangled(name)),
                    ..SourceLocation::default()
                })
                .into_iter()
                .collect()
            }
            _ => places,
        }
    }

    fn debug_places(&self, address: u64) -> Vec<SourceLocation> {
        let Some(debug) = &self.debug else { return Vec::new() };
        let Ok(mut frames) = debug.find_frames(address).skip_all_loads() else { return Vec::new() };
        let mut places = Vec::new();
        while let (Ok(Some(frame)), true) = (frames.next(), places.len() < MOST_INLINED) {
            let location = frame.location.as_ref();
            let function = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            places.push(SourceLocation {
                function: function.map(|name| demangled(&name)),
                file: location
                    .and_then(|location| location.file)
                    .map(|file| cut(below_workspace(file)).into()),
                line: location.and_then(|location| location.line),
                column: location.and_then(|location| location.column),
            });
        }
        places.retain(|place| *place != SourceLocation::default());
        places
    }

    /// Returns the function in whose source the instruction at an address was written, and the line in it. Of functions that
    /// were inlined into one another it is the innermost outside of Rust's library, because a guest's line pays for the
    /// library code inlined into it. A library function that was not inlined keeps its name.
    fn written_in(&self, address: u64) -> Option<Frame<'_, Section<'a>>> {
        let mut frames = self.debug.as_ref()?.find_frames(address).skip_all_loads().ok()?;
        let mut outermost: Option<Frame<'_, _>> = None;
        for _ in 0..MOST_INLINED {
            let Ok(Some(frame)) = frames.next() else { break };
            let file = frame.location.as_ref().and_then(|location| location.file);
            if frame.function.is_some() && !file.is_some_and(is_of_rust) {
                return Some(frame);
            }
            if frame.function.is_some() || outermost.is_none() {
                outermost = Some(frame);
            }
        }
        outermost
    }

    /// Returns the start of the function at an address.
    pub(super) fn function_start(&self, address: u64) -> Option<u64> {
        self.function(address).map(|(start, _)| start)
    }

    fn function(&self, address: u64) -> Option<(u64, SymbolIndex)> {
        let after = self.functions.partition_point(|(start, _, _)| *start <= address);
        let mut candidates = self.functions[..after].iter().rev().take(8);
        // A symbol without a size has its first byte.
        let found = candidates.find(|(start, end, _)| address < *end || address == *start);
        found.map(|&(start, _, index)| (start, index))
    }
}

/// Returns the functions of an image's symbol table, sorted by start: start, end, and index in the table.
fn functions(elf: &Elf<'_>) -> Vec<(u64, u64, SymbolIndex)> {
    let mut functions: Vec<_> = elf
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
        .filter_map(|symbol| {
            Some((symbol.address(), symbol.address().checked_add(symbol.size())?, symbol.index()))
        })
        .collect();
    functions.sort_unstable_by_key(|&(start, end, index)| (start, end, index.0));
    functions
}

/// A piece of an image's code that has a name: a function, or in assembly the code behind a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The address that it begins at.
    pub start: u64,
    /// The address behind it.
    pub end: u64,
    /// Its name.
    pub name: String,
}

/// Returns all pieces of an image's code that have a name, by address. They do not overlap.
pub(super) fn pieces(bytes: &[u8]) -> Vec<Piece> {
    let budget = Budget::new();
    let Ok(elf) = read::File::parse(File { bytes, budget: &budget }) else { return Vec::new() };
    let name =
        |index| Some(demangled(elf.symbol_by_index(index).ok()?.name().ok().filter(|it| !it.is_empty())?));
    let mut starts = functions(&elf);
    starts.extend(labels(&elf));
    starts.sort_by_key(|&(start, end, index)| (start, Reverse(end), index.0));
    starts.dedup_by_key(|(start, ..)| *start);
    let next = starts.iter().skip(1).map(|(start, ..)| *start).chain([u64::MAX]);
    let cut = starts.iter().zip(next).map(|(&(start, end, index), next)| (start, end.min(next), index));
    cut.filter(|(start, end, _)| start < end)
        .filter_map(|(start, end, index)| Some(Piece { start, end, name: name(index)? }))
        .collect()
}

/// The source of an instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The function.
    pub function: Option<Rc<str>>,
    /// The file, and the line in it, from 1.
    pub line: Option<(Rc<str>, u32)>,
}

/// Returns the source of the instruction at each of these addresses, as [`Symbols::written_in`] does. All instructions
/// of a function or of a file share one text, because a budget would not last for one each.
pub(super) fn written_in(bytes: &[u8], addresses: impl IntoIterator<Item = u64>) -> Vec<Written> {
    let budget = Budget::new();
    let symbols = Symbols::of(bytes, &budget);
    let (mut names, mut files) = (BTreeMap::new(), BTreeMap::new());
    let mut written = |address| {
        let Frame { function, location, .. } = symbols.written_in(address)?;
        let function = function.and_then(|function| {
            let name = || Some(Rc::from(demangled(&function.raw_name().ok()?)));
            let read = || name().filter(|it: &Rc<str>| !it.is_empty());
            let place = (function.name.offset_id().0, function.name.len());
            names.entry(place).or_insert_with(read).clone()
        });
        let line = location.and_then(|Location { file, line, .. }| {
            let (file, line) = (file?, line.filter(|&line| line > 0)?);
            let text: &Rc<str> = files.entry(file).or_insert_with(|| Rc::from(cut(below_workspace(file))));
            Some((Rc::clone(text), line))
        });
        Some(Written { function, line })
    };
    addresses.into_iter().map(|address| written(address).unwrap_or_default()).collect()
}

/// Returns the functions at each of these addresses, the innermost first. Texts are shared, as by [`written_in`].
pub(super) fn functions_at(bytes: &[u8], addresses: impl IntoIterator<Item = u64>) -> Vec<Vec<Rc<str>>> {
    let budget = Budget::of_whole_file();
    let symbols = Symbols::of(bytes, &budget);
    let mut names = BTreeMap::new();
    let mut functions = |address| {
        let mut found: Vec<Rc<str>> = Vec::new();
        let mut frames = symbols.debug.as_ref()?.find_frames(address).skip_all_loads().ok()?;
        while let (Ok(Some(frame)), true) = (frames.next(), found.len() < MOST_INLINED) {
            let Some(function) = frame.function else { continue };
            let place = (function.name.offset_id().0, function.name.len());
            let read = || Some(Rc::from(demangled(&function.raw_name().ok()?)));
            found.extend(names.entry(place).or_insert_with(read).clone());
        }
        Some(found)
    };
    addresses.into_iter().map(|address| functions(address).unwrap_or_default()).collect()
}

/// Returns the labels of assembly. They have no size: each goes to the next symbol or to the end of its section.
fn labels(elf: &Elf<'_>) -> Vec<(u64, u64, SymbolIndex)> {
    let label = |symbol: object::Symbol<'_, '_, File<'_>>| {
        let section = elf.section_by_index(symbol.section_index()?).ok()?;
        let is_label = symbol.kind() == SymbolKind::Unknown && section.kind() == SectionKind::Text;
        let is_named = symbol.name().is_ok_and(|name| !name.is_empty());
        let end = section.address().checked_add(section.size())?;
        (is_label && is_named).then_some((symbol.address(), end, symbol.index()))
    };
    elf.symbols().filter_map(label).collect()
}

/// Returns the debug information of these sections.
fn debug<'a>(section: impl Fn(&str) -> &'a [u8], budget: &'a Budget) -> Option<Context<Section<'a>>> {
    let dwarf = Dwarf::load(|id| Ok::<_, DwarfError>(Section::new(section(id.name()), budget)));
    Context::from_dwarf(dwarf.ok()?).ok()
}

/// Returns a file's path from its workspace, which is `.` in images (xtask's `renamed_folders`), or from its crate's folder
/// in cargo's registry. For a function that was inlined into another crate's, the path follows that crate's folder.
pub(crate) fn below_workspace(file: &str) -> &str {
    let file = file.rsplit_once("/./").map_or(file, |(_, file)| file);
    let in_registry = file.rsplit_once("/registry/src/").and_then(|(_, file)| file.split_once('/'));
    in_registry.map_or(file, |(_, file)| file).trim_start_matches("./")
}

/// Returns a name as in the source, without the hash that the compiler adds.
pub(crate) fn demangled(name: &str) -> String {
    let mut text = Short(String::new());
    // The rest of a name that is too long is dropped.
    let _ = write!(text, "{:#}", rustc_demangle::demangle(name));
    text.0
}

/// Returns the part of a name that is kept.
fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}

/// A text with the largest length of a name.
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST_NAME - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_as_in_the_source() {
        assert_eq!(demangled("_ZN4core9panicking5panic17h0123456789abcdefE"), "core::panicking::panic");
        assert_eq!(demangled("main"), "main");
    }

    #[test]
    fn files_are_named_from_their_workspace() {
        for file in ["demo/src/main.rs", "./demo/src/main.rs", "/rust/library/alloc/./demo/src/main.rs"] {
            assert_eq!(below_workspace(file), "demo/src/main.rs");
        }
        assert_eq!(below_workspace("/rust/library/core/src/panic.rs"), "/rust/library/core/src/panic.rs");
        assert_eq!(
            below_workspace("/cargo/registry/src/index-1/spin-0.12.3/src/mutex.rs"),
            "spin-0.12.3/src/mutex.rs"
        );
        assert_eq!(below_workspace("/registry/src/"), "/registry/src/");
    }

    #[test]
    fn an_image_without_symbols_has_no_names() {
        for file in [&b""[..], b"\x7fELF", &[0; 4096]] {
            assert!(Symbols::of(file, &Budget::new()).places(0x7000).is_empty());
            assert!(pieces(file).is_empty());
            assert_eq!(written_in(file, [0x7000, 0x7001]), [Written::default(), Written::default()]);
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        let name = "é".repeat(LONGEST_NAME);
        assert!(demangled(&name).len() <= LONGEST_NAME && name.starts_with(&demangled(&name)));
        assert_eq!(cut(&name), demangled(&name));
        assert_eq!(cut("x"), "x");
    }

    #[test]
    fn a_symbol_at_the_end_of_all_addresses_is_found() {
        let functions = vec![(8, 16, SymbolIndex(1)), (u64::MAX, u64::MAX, SymbolIndex(2))];
        let symbols = Symbols { elf: None, debug: None, functions };
        let starts = [7, 8, 15, 16, u64::MAX - 1, u64::MAX].map(|address| symbols.function_start(address));
        assert_eq!(starts, [None, Some(8), Some(8), None, None, Some(u64::MAX)]);
    }

    /// The abbreviations of hostile debug information (DWARF version 4, 7.5.3), each with children: a unit
    /// (1) that says where its lines are, of addresses from 0x7000 up to 0x8000, a function (2) of the same
    /// addresses, and a function (3) inlined there without attributes.
    const ABBREVIATIONS: [u8; 32] = [
        1, 0x11, 1, 0x10, 0x17, 0x11, 0x01, 0x12, 0x06, 0, 0, // DW_AT_stmt_list, low_pc, high_pc
        2, 0x2E, 1, 0x11, 0x01, 0x12, 0x06, 0, 0, // DW_AT_low_pc, high_pc
        3, 0x1D, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    /// The addresses of units and functions, as the abbreviations have them.
    const ADDRESSES: [u8; 8] = [0, 0x70, 0, 0, 0, 0x10, 0, 0];

    /// A unit of 32-bit DWARF, version 4, with these entries: its length comes first.
    fn unit(entries: &[u8]) -> Vec<u8> {
        let rest = [&[4, 0, 0, 0, 0, 0, 4], entries].concat();
        [&u32::try_from(rest.len()).expect("short").to_le_bytes(), &rest[..]].concat()
    }

    /// The places of an address in debug information of these units and lines, which names no function.
    fn places(info: &[u8], lines: &[u8]) -> Vec<SourceLocation> {
        let budget = Budget::new();
        let section = |name: &str| match name {
            ".debug_abbrev" => &ABBREVIATIONS,
            ".debug_info" => info,
            ".debug_line" => lines,
            _ => &[],
        };
        let debug = debug(section, &budget);
        assert!(debug.is_some());
        let symbols = Symbols { elf: None, debug, functions: Vec::new() };
        assert!(symbols.written_in(0x7022).is_none_or(|frame| frame.function.is_none()));
        symbols.places(0x7022)
    }

    /// A line program (DWARF version 4, 6.2.4) without files: an address (extended opcode 2), rows of the same
    /// line 16 bytes apart, and how it ends.
    fn lines(rows: usize, end: &[u8]) -> Vec<u8> {
        const HEAD: [u8; 26] =
            [4, 0, 20, 0, 0, 0, 1, 1, 1, 0xFB, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0];
        let program = [&HEAD[..], &[0, 5, 2, 0, 0x70, 0, 0], &vec![0xF2; rows], end].concat();
        [&u32::try_from(program.len()).expect("short").to_le_bytes(), &program[..]].concat()
    }

    /// The end of a sequence of rows, without which they do not count (extended opcode 1).
    const END: [u8; 3] = [0, 1, 1];

    #[test]
    fn functions_nested_without_end_are_given_up() {
        let root = [&[1][..], &[0; 4], &ADDRESSES, &[2], &ADDRESSES].concat();
        let nested = |depth: usize| unit(&[&root[..], &vec![3; depth], &vec![0; depth + 2]].concat());
        assert_eq!(places(&nested(2), &lines(20, &END)).len(), 1, "it is sound in all else");
        places(&nested(1_000_000), &lines(20, &END));
        // A thread's stack may be smaller than the budget's limit.
        for size in [192 << 10, 512 << 10] {
            let info = nested(1_000_000);
            let thread = std::thread::Builder::new().stack_size(size);
            let thread = thread.spawn(move || places(&info, &lines(20, &END))).expect("a thread");
            thread.join().expect("it ends");
        }
    }

    #[test]
    fn units_that_share_their_lines_are_given_up() {
        let info = |address: u8| unit(&[&[1][..], &[0; 4], &[0, address], &ADDRESSES[2..], &[0]].concat());
        assert_eq!(places(&info(0x70), &lines(20, &END)).len(), 1, "it is sound in all else");
        // None of them has a line for the address, so all are searched.
        places(&info(0x70).repeat(20_000), &lines(1_000_000, &[]));
    }

    proptest! {
        #[test]
        fn any_file_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..512), address in any::<u64>()) {
            let file = [&b"\x7fELF\x01\x01\x01"[..], &bytes].concat();
            let budget = Budget::new();
            let symbols = Symbols::of(&file, &budget);
            symbols.places(address);
            symbols.function_start(address);
            written_in(&file, [address]);
            assert!(pieces(&file).is_sorted_by(|one, next| one.end <= next.start));
        }
    }
}
