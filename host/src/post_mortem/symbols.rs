//! Names for addresses, from an image's debug information (DWARF) or its symbol table.

use addr2line::{
    Context,
    gimli::{Dwarf, EndianSlice, Error as DwarfError, LittleEndian},
};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind, read::File};
use serde::Serialize;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The most functions that are told to be inlined into one another at one address.
const MOST_INLINED: usize = 32;

/// The most characters of the name of a piece of code: they are the image's to choose.
const LONGEST_NAME: usize = 200;

/// What an image says of its addresses. An image that says nothing has no names.
pub(super) struct Symbols<'a> {
    debug: Option<Context<Slice<'a>>>,
    functions: Functions<'a>,
}

/// The functions of an image's symbol table: start, end and name, by start.
struct Functions<'a>(Vec<(u64, u64, &'a str)>);

/// A place in a guest's source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
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
}

impl<'a> Symbols<'a> {
    /// The symbols of an image's file, whatever is in it.
    pub(super) fn of(file: &'a [u8]) -> Self {
        let Ok(elf) = File::parse(file) else {
            return Self { debug: None, functions: Functions(Vec::new()) };
        };
        let section = |name: &str| elf.section_by_name(name).and_then(|section| section.data().ok());
        let dwarf = Dwarf::load(|id| {
            Ok::<_, DwarfError>(Slice::new(section(id.name()).unwrap_or(&[]), LittleEndian))
        });
        Self {
            debug: dwarf.ok().and_then(|dwarf| Context::from_dwarf(dwarf).ok()),
            functions: Functions::of(&elf),
        }
    }

    /// The places that an address stands for: more than one where functions were inlined, the innermost
    /// first. None is known: none.
    pub(super) fn places(&self, address: u64) -> Vec<Place> {
        let places = self.debug_places(address);
        match self.functions.at(address) {
            Some((_, _, name)) if places.is_empty() => {
                vec![Place { function: Some(demangled(name)), ..Place::default() }]
            }
            _ => places,
        }
    }

    fn debug_places(&self, address: u64) -> Vec<Place> {
        let Some(debug) = &self.debug else { return Vec::new() };
        let Ok(mut frames) = debug.find_frames(address).skip_all_loads() else { return Vec::new() };
        let mut places = Vec::new();
        while let (Ok(Some(frame)), true) = (frames.next(), places.len() < MOST_INLINED) {
            let location = frame.location.as_ref();
            let function = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            places.push(Place {
                function: function.map(|name| demangled(&name)),
                file: location
                    .and_then(|location| location.file)
                    .map(|file| file.trim_start_matches("./").into()),
                line: location.and_then(|location| location.line),
                column: location.and_then(|location| location.column),
            });
        }
        places.retain(|place| *place != Place::default());
        places
    }

    /// Where the function begins that an address is in.
    pub(super) fn function_start(&self, address: u64) -> Option<u64> {
        self.functions.at(address).map(|(start, _, _)| start)
    }
}

impl<'a> Functions<'a> {
    fn of(elf: &File<'a>) -> Self {
        let mut functions: Vec<(u64, u64, &str)> = elf
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text)
            .filter_map(|symbol| {
                Some((symbol.address(), symbol.address().checked_add(symbol.size())?, symbol.name().ok()?))
            })
            .collect();
        functions.sort_unstable();
        Self(functions)
    }

    fn at(&self, address: u64) -> Option<(u64, u64, &'a str)> {
        let after = self.0.partition_point(|(start, _, _)| *start <= address);
        let candidates = self.0[..after].iter().rev().take(8);
        candidates.copied().find(|(start, end, _)| (*start..(*end).max(start + 1)).contains(&address))
    }
}

/// A piece of an image's code that has a name: a function, or in assembly what follows a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The address that it begins at.
    pub start: u64,
    /// The address behind it.
    pub end: u64,
    /// Its name.
    pub name: String,
}

/// All pieces of an image's code that have a name, by their addresses; they do not overlap.
pub(super) fn pieces(file: &[u8]) -> Vec<Piece> {
    let Ok(elf) = File::parse(file) else { return Vec::new() };
    let mut starts: Vec<(u64, u64, &str)> = Functions::of(&elf).0;
    starts.extend(labels(&elf));
    starts.sort_by_key(|&(start, end, _)| (start, std::cmp::Reverse(end)));
    starts.dedup_by_key(|(start, ..)| *start);
    let next = starts.iter().skip(1).map(|(start, ..)| *start).chain([u64::MAX]);
    let cut = starts.iter().zip(next).map(|(&(start, end, name), next)| (start, end.min(next), name));
    cut.filter(|(start, end, _)| start < end)
        .map(|(start, end, name)| Piece {
            start,
            end,
            name: demangled(name).chars().take(LONGEST_NAME).collect(),
        })
        .collect()
}

/// The labels of assembly, which have no size: each goes to the end of its section, or to the next symbol.
fn labels<'a>(elf: &File<'a>) -> Vec<(u64, u64, &'a str)> {
    let label = |symbol: object::Symbol<'a, '_>| {
        let section = elf.section_by_index(symbol.section_index()?).ok()?;
        let is_label = symbol.kind() == SymbolKind::Unknown && section.kind() == SectionKind::Text;
        let end = section.address().checked_add(section.size())?;
        is_label.then_some((symbol.address(), end, symbol.name().ok()?))
    };
    elf.symbols().filter_map(label).filter(|(.., name)| !name.is_empty()).collect()
}

/// A name as it stands in the source, without the hash that the compiler adds.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
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
    fn an_image_without_symbols_has_no_names() {
        for file in [&b""[..], b"\x7fELF", &[0; 4096]] {
            assert!(Symbols::of(file).places(0x7000).is_empty());
            assert!(pieces(file).is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_file_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..512), address in any::<u64>()) {
            let file = [&b"\x7fELF\x01\x01\x01"[..], &bytes].concat();
            let symbols = Symbols::of(&file);
            symbols.places(address);
            symbols.function_start(address);
            assert!(pieces(&file).is_sorted_by(|one, next| one.end <= next.start));
        }
    }
}
