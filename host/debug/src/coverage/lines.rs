//! Source lines of an image's code, from the line tables of its debug information.

use std::{collections::BTreeMap, mem};

use addr2line::gimli::{AttributeValue, FileEntry, LineProgramHeader, Reader as _, Unit, UnitRef};

use super::{problem::Problem, sources::Sources};
use crate::crash_report::limited_reader::Section;

/// The most rows of all tables. A row takes a byte of a hostile image.
const MOST_ROWS: usize = 1 << 22;

/// Code of one source line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The address of its first instruction.
    pub(super) start: u64,
    /// The address behind it.
    pub(super) end: u64,
    /// The index of its file, if the file is selected.
    pub(super) file: Option<usize>,
    /// The line, from 1. It is 0 if the code has none.
    pub(super) line: u32,
    /// The code is the beginning of a statement.
    pub(super) is_statement: bool,
}

/// A unit of debug information, with its sections.
pub(super) type UnitOf<'a, 'b> = UnitRef<'b, Section<'a>>;

/// Adds the rows of a unit to `rows`. Code that the linker left out has none: `is_code` is false at its address.
pub(super) fn add_rows(
    unit: UnitOf<'_, '_>,
    is_code: impl Fn(u64) -> bool,
    sources: &mut Sources,
    rows: &mut Vec<Row>,
) -> Result<(), Problem> {
    let Some(program) = unit.line_program.clone() else { return Ok(()) };
    let mut files = BTreeMap::new();
    let mut table = program.rows();
    let mut sequence: Vec<Row> = Vec::new();
    while let Some((header, row)) = table.next_row()? {
        let address = row.address();
        if let Some(last) = sequence.last_mut() {
            last.end = address;
        }
        if row.end_sequence() {
            let sequence = mem::take(&mut sequence);
            if sequence.first().is_some_and(|first| is_code(first.start)) {
                rows.extend(sequence);
            }
            continue;
        }
        if rows.len() + sequence.len() >= MOST_ROWS {
            return Err(Problem::TooLarge);
        }
        let index = row.file_index();
        let file = match files.get(&index) {
            Some(file) => *file,
            None => *files.entry(index).or_insert(source(unit, header, index, sources)?),
        };
        let line = row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(0));
        sequence.push(Row { start: address, end: address, file, line, is_statement: row.is_stmt() });
    }
    Ok(())
}

/// Sorts rows by address, and ends each where the next begins: those of a hostile image can overlap.
pub(super) fn part(rows: &mut [Row]) {
    rows.sort_by_key(|row| row.start);
    let mut next = u64::MAX;
    for row in rows.iter_mut().rev() {
        row.end = row.end.min(next).max(row.start);
        next = row.start;
    }
}

/// Returns a file of a unit's line table, if it is selected.
pub(super) fn source<'a>(
    unit: UnitOf<'a, '_>,
    header: &LineProgramHeader<Section<'a>>,
    index: u64,
    sources: &mut Sources,
) -> Result<Option<usize>, Problem> {
    match header.file(index) {
        Some(entry) => Ok(sources.index(&path(unit, header, entry)?)),
        None => Ok(None),
    }
}

/// Returns a file's path: from its folder, or else from the folder of the unit.
fn path<'a>(
    unit: UnitOf<'a, '_>,
    header: &LineProgramHeader<Section<'a>>,
    entry: &FileEntry<Section<'a>>,
) -> Result<String, Problem> {
    let text = |value: AttributeValue<Section<'a>>| -> Result<String, Problem> {
        Ok(unit.attr_string(value)?.to_string_lossy()?.into_owned())
    };
    let mut path = folder(&unit)?;
    // Index 0 is the folder of the unit.
    if let Some(folder) = entry.directory(header).filter(|_| entry.directory_index() != 0) {
        push(&mut path, &text(folder)?);
    }
    push(&mut path, &text(entry.path_name())?);
    Ok(path)
}

fn folder(unit: &Unit<Section<'_>>) -> Result<String, Problem> {
    let folder = unit.comp_dir.as_ref().map(|folder| folder.to_string_lossy()).transpose()?;
    Ok(folder.unwrap_or_default().into_owned())
}

/// Appends to a path. An absolute path replaces it.
fn push(path: &mut String, part: &str) {
    if part.starts_with(['/', '\\']) || part.get(1..2) == Some(":") {
        path.clear();
    } else if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_do_not_overlap() {
        let row = |start, end| Row { start, end, file: None, line: 1, is_statement: true };
        let mut rows = [row(0, u64::MAX), row(8, 8), row(4, 9), row(8, 6)];
        part(&mut rows);
        assert_eq!(rows, [row(0, 4), row(4, 8), row(8, 8), row(8, 8)]);
    }

    #[test]
    fn an_absolute_part_replaces_a_path() {
        let joined = |parts: &[&str]| {
            let mut path = String::new();
            parts.iter().for_each(|part| push(&mut path, part));
            path
        };
        assert_eq!(joined(&[".", "guest-rt/src", "heap.rs"]), "./guest-rt/src/heap.rs");
        assert_eq!(joined(&["/work", "/rust/core", "a.rs"]), "/rust/core/a.rs");
        assert_eq!(joined(&["a", "", "b"]), "a/b");
    }
}
