//! Functions of an image's code, from its debug information: those that are called, and those that were inlined.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use addr2line::gimli::{
    self, AttributeValue, DebugInfoOffset, DebuggingInformationEntry, DwAt, Dwarf, Reader as _, Unit,
    UnitOffset,
};

use super::{
    lines::{self, UnitOf},
    problem::Problem,
    sources::Sources,
};
use crate::crash_report::{demangled, limited_reader::Section};

/// The most functions and places of inlined functions.
const MOST_SCOPES: usize = 1 << 20;

/// The most references that lead to a function's name.
const MOST_REFERENCES: usize = 16;

/// A function as it is in the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Function {
    /// The index of its file.
    pub(super) file: usize,
    /// The line of its declaration, from 1.
    pub(super) line: u32,
    /// Its name.
    pub(super) name: String,
}

/// A function's code at one place: its own, or where it was inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The function, if its file is selected.
    pub(super) function: Option<Arc<Function>>,
    /// Its code, by address.
    pub(super) code: Vec<Range<u64>>,
    /// The file and the line in which it is called, if it was inlined there and the file is selected.
    pub(super) call: Option<(usize, u32)>,
    /// The index of the scope around it.
    pub(super) parent: Option<usize>,
    /// The depth of its entry in the debug information.
    depth: isize,
}

type Entry<'a> = DebuggingInformationEntry<Section<'a>>;

/// The units of an image's debug information.
pub(super) struct Units<'a, 'b> {
    pub(super) dwarf: &'b Dwarf<Section<'a>>,
    pub(super) units: Vec<Unit<Section<'a>>>,
}

impl<'a, 'b> Units<'a, 'b> {
    pub(super) fn read(dwarf: &'b Dwarf<Section<'a>>) -> Result<Self, Problem> {
        let mut units = Vec::new();
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            units.push(dwarf.unit(header)?);
        }
        Ok(Self { dwarf, units })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = UnitOf<'a, '_>> {
        self.units.iter().map(|unit| unit.unit_ref(self.dwarf))
    }

    /// Returns the unit and the place in it of an entry that another unit refers to.
    fn at(&self, offset: DebugInfoOffset<usize>) -> Option<(UnitOf<'a, '_>, UnitOffset<usize>)> {
        let start = |unit: &Unit<Section<'a>>| unit.header.offset().0;
        let behind = self.units.partition_point(|unit| start(unit) <= offset.0);
        let unit = self.units.get(behind.checked_sub(1)?)?;
        Some((unit.unit_ref(self.dwarf), UnitOffset(offset.0 - start(unit))))
    }
}

/// Returns the scopes of all units whose code is in the image.
pub(super) fn scopes(
    units: &Units<'_, '_>,
    is_code: impl Fn(u64) -> bool,
    sources: &mut Sources,
) -> Result<Vec<Scope>, Problem> {
    let mut scopes = Vec::new();
    for unit in units.iter() {
        let mut known = BTreeMap::new();
        let mut around: Vec<(isize, usize)> = Vec::new();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if !matches!(entry.tag(), gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine) {
                continue;
            }
            let code = code(unit, entry, &is_code)?;
            if code.is_empty() {
                continue;
            }
            if scopes.len() >= MOST_SCOPES {
                return Err(Problem::TooLarge);
            }
            let depth = entry.depth();
            // A place of an inlined function says no more than where it is from.
            let origin = origin(entry).filter(|_| entry.tag() == gimli::DW_TAG_inlined_subroutine);
            let function = match origin.and_then(|origin| known.get(&origin)) {
                Some(function) => Clone::clone(function),
                None => {
                    let function = function(units, unit, entry, sources)?.map(Arc::new);
                    origin.map(|origin| known.insert(origin, function.clone()));
                    function
                }
            };
            let call = call(unit, entry, sources)?;
            while around.pop_if(|(outer, _)| *outer >= depth).is_some() {}
            let parent = around.last().map(|(_, parent)| *parent);
            around.push((depth, scopes.len()));
            scopes.push(Scope { function, code, call, parent, depth });
        }
    }
    Ok(scopes)
}

/// Returns the code of an entry that is in the image.
fn code<'a>(
    unit: UnitOf<'a, '_>,
    entry: &Entry<'a>,
    is_code: impl Fn(u64) -> bool,
) -> Result<Vec<Range<u64>>, Problem> {
    let mut code = Vec::new();
    let mut add = |range: Range<u64>| {
        if range.start < range.end && is_code(range.start) {
            code.push(range);
        }
    };
    if let Some(value) = entry.attr_value(gimli::DW_AT_ranges)
        && let Some(mut ranges) = unit.attr_ranges(value)?
    {
        while let Some(range) = ranges.next()? {
            add(range.begin..range.end);
        }
    } else if let Some(low) = entry.attr_value(gimli::DW_AT_low_pc)
        && let Some(start) = unit.attr_address(low)?
        && let Some(high) = entry.attr_value(gimli::DW_AT_high_pc)
    {
        let end = match high.udata_value() {
            Some(size) => Some(start.saturating_add(size)),
            None => unit.attr_address(high)?,
        };
        add(start..end.unwrap_or(start));
    }
    code.sort_by_key(|range| range.start);
    Ok(code)
}

/// Returns the file and the line in which an inlined function is called.
fn call<'a>(
    unit: UnitOf<'a, '_>,
    entry: &Entry<'a>,
    sources: &mut Sources,
) -> Result<Option<(usize, u32)>, Problem> {
    place(unit, entry, gimli::DW_AT_call_file, gimli::DW_AT_call_line, sources)
}

/// Returns the file and the line that an entry has in these attributes, if the file is selected.
fn place<'a>(
    unit: UnitOf<'a, '_>,
    entry: &Entry<'a>,
    file: DwAt,
    line: DwAt,
    sources: &mut Sources,
) -> Result<Option<(usize, u32)>, Problem> {
    if let Some(AttributeValue::FileIndex(file)) = entry.attr_value(file)
        && let Some(line) = entry.attr_value(line).and_then(|line| line.udata_value())
        && let Some(program) = &unit.line_program
        && let Some(file) = lines::source(unit, program.header(), file, sources)?
    {
        return Ok(u32::try_from(line).ok().filter(|&line| line > 0).map(|line| (file, line)));
    }
    Ok(None)
}

/// A reference to another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Unit(usize),
    Section(usize),
}

fn origin(entry: &Entry<'_>) -> Option<Origin> {
    let value = |name| entry.attr_value(name);
    match value(gimli::DW_AT_abstract_origin).or_else(|| value(gimli::DW_AT_specification))? {
        AttributeValue::UnitRef(offset) => Some(Origin::Unit(offset.0)),
        AttributeValue::DebugInfoRef(offset) => Some(Origin::Section(offset.0)),
        _ => None,
    }
}

/// Returns the function of an entry, if it has a name and a line in a selected file. They can be those of its origin.
fn function<'a, 'u>(
    units: &'u Units<'a, '_>,
    unit: UnitOf<'a, 'u>,
    entry: &Entry<'a>,
    sources: &mut Sources,
) -> Result<Option<Function>, Problem> {
    let mut found = Found::default();
    let mut next = found.take(unit, entry, sources)?;
    let mut unit = unit;
    for _ in 0..MOST_REFERENCES {
        let place = match next {
            Some(Origin::Unit(offset)) => Some((unit, UnitOffset(offset))),
            Some(Origin::Section(offset)) => units.at(DebugInfoOffset(offset)),
            None => None,
        };
        let Some((of, offset)) = place else { break };
        let entry = of.entry(offset)?;
        next = found.take(of, &entry, sources)?;
        unit = of;
    }
    Ok(found.function())
}

/// The parts of a function that were found so far.
#[derive(Default)]
struct Found {
    linkage_name: Option<String>,
    name: Option<String>,
    place: Option<(usize, u32)>,
}

impl Found {
    /// Takes the parts that an entry has and that are missing. Returns the entry's origin.
    fn take<'a>(
        &mut self,
        unit: UnitOf<'a, '_>,
        entry: &Entry<'a>,
        sources: &mut Sources,
    ) -> Result<Option<Origin>, Problem> {
        let text = |name| -> Result<Option<String>, Problem> {
            let Some(value) = entry.attr_value(name) else { return Ok(None) };
            Ok(Some(unit.attr_string(value)?.to_string_lossy()?.into_owned()))
        };
        if self.linkage_name.is_none() {
            self.linkage_name = text(gimli::DW_AT_linkage_name)?;
        }
        if self.name.is_none() {
            self.name = text(gimli::DW_AT_name)?;
        }
        if self.place.is_none() {
            self.place = place(unit, entry, gimli::DW_AT_decl_file, gimli::DW_AT_decl_line, sources)?;
        }
        Ok(origin(entry))
    }

    fn function(self) -> Option<Function> {
        let (file, line) = self.place?;
        let name = self.linkage_name.or(self.name).filter(|name| !name.is_empty())?;
        Some(Function { file, line, name: demangled(&name) })
    }
}

/// The innermost scope of each address.
pub(super) struct Innermost(Vec<(Range<u64>, usize)>);

impl Innermost {
    pub(super) fn of(scopes: &[Scope]) -> Self {
        let all = scopes.iter().enumerate();
        let mut ranges: Vec<(Range<u64>, isize, usize)> = all
            .flat_map(|(index, scope)| scope.code.iter().map(move |code| (code.clone(), scope.depth, index)))
            .collect();
        // An outer scope comes before those in it.
        ranges.sort_by_key(|(range, depth, _)| (range.start, *depth));
        let mut flat = Vec::new();
        let mut open: Vec<(u64, usize)> = Vec::new();
        let mut at = 0;
        for (range, _, index) in ranges {
            close(&mut open, &mut flat, &mut at, range.start);
            if let Some(&(_, outer)) = open.last() {
                add(&mut flat, at..range.start, outer);
            }
            at = at.max(range.start);
            open.push((range.end, index));
        }
        close(&mut open, &mut flat, &mut at, u64::MAX);
        Self(flat)
    }

    pub(super) fn at(&self, address: u64) -> Option<usize> {
        let behind = self.0.partition_point(|(range, _)| range.start <= address);
        let (range, scope) = self.0.get(behind.checked_sub(1)?)?;
        range.contains(&address).then_some(*scope)
    }
}

/// Ends the open scopes that end at an address or before.
fn close(open: &mut Vec<(u64, usize)>, flat: &mut Vec<(Range<u64>, usize)>, at: &mut u64, address: u64) {
    while let Some((end, scope)) = open.pop_if(|(end, _)| *end <= address) {
        add(flat, *at..end, scope);
        *at = end.max(*at);
    }
}

fn add(flat: &mut Vec<(Range<u64>, usize)>, range: Range<u64>, scope: usize) {
    if range.start < range.end {
        flat.push((range, scope));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(depth: isize, code: &[(u64, u64)]) -> Scope {
        let code = code.iter().map(|&(start, end)| start..end).collect();
        Scope { function: None, code, call: None, parent: None, depth }
    }

    #[test]
    fn an_address_is_that_of_the_innermost_scope() {
        let scopes = [
            scope(1, &[(0x10, 0x40)]),
            scope(2, &[(0x10, 0x14), (0x20, 0x30)]),
            scope(3, &[(0x22, 0x24)]),
            scope(1, &[(0x50, 0x60)]),
        ];
        let innermost = Innermost::of(&scopes);
        let at = [0xF, 0x10, 0x14, 0x20, 0x22, 0x24, 0x30, 0x3F, 0x40, 0x50, 0x60];
        let expected =
            [None, Some(1), Some(0), Some(1), Some(2), Some(1), Some(0), Some(0), None, Some(3), None];
        assert_eq!(at.map(|address| innermost.at(address)), expected);
    }

    #[test]
    fn scopes_that_overlap_do_no_harm() {
        let scopes = [scope(1, &[(0, 10)]), scope(2, &[(5, 20)]), scope(1, &[(8, u64::MAX)])];
        let innermost = Innermost::of(&scopes);
        assert_eq!([4, 6, 9, 30].map(|address| innermost.at(address)), [Some(0), Some(1), Some(2), Some(2)]);
    }
}
