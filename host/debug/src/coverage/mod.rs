//! Coverage: the lines, functions and branches that guests executed, from the counts of an engine and the debug information
//! of an image. The image is not changed for it.
//!
//! [`CodeMap::of`] reads an image before its guests run. Engines count for [`CodeMap::counts`]. After the run
//! [`CodeMap::add_to`] adds the counts to a report, in which images that share sources become one.

mod counts;
mod functions;
mod jumps;
mod lines;
mod problem;
mod sources;

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use addr2line::gimli::{Dwarf, Error as DwarfError};
use guest_abi::mode::CpuMode;
use guestlab_cpu::Coverage;
use guestlab_runlog::coverage::{Branch, Report};
use guestlab_vmm::Image;
use object::{Object as _, ObjectSection as _, ObjectSegment as _, SegmentFlags, elf, read};

use crate::crash_report::limited_reader::{Budget, File, Section};
use counts::{Count, Counts, Executed};
use functions::{Function, Innermost, Scope, Units};
use jumps::Jump;
use lines::Row;
pub use problem::Problem;
pub use sources::Selection;
use sources::Sources;

/// The code of an image by its source, and the counts of its executions.
pub struct CodeMap {
    counts: Arc<Counts>,
    /// The paths of source files, by index.
    files: Vec<String>,
    rows: Vec<Row>,
    jumps: Vec<Jump>,
    scopes: Vec<Scope>,
    /// The innermost scope of each row.
    scope_of_row: Vec<Option<usize>>,
}

impl CodeMap {
    /// Reads the debug information of an image. The file may contain anything; reading ends in bounded time.
    ///
    /// # Errors
    ///
    /// It has none that can be used.
    pub fn of(image: &Image, selection: Selection) -> Result<Self, Problem> {
        let budget = Budget::of_whole_file();
        let map = Self::read(image.file(), image.start().mode(), selection, &budget);
        match map {
            // A reader takes the end of the budget for that of the file.
            Err(Problem::Damaged(_)) if budget.is_spent() => Err(Problem::TooLarge),
            map => map,
        }
    }

    fn read(bytes: &[u8], mode: CpuMode, selection: Selection, budget: &Budget) -> Result<Self, Problem> {
        let file = read::File::parse(File { bytes, budget }).map_err(|_| Problem::Missing)?;
        let section = |name: &str| file.section_by_name(name).and_then(|section| section.data().ok());
        if section(".debug_line").is_none_or(<[u8]>::is_empty) {
            return Err(Problem::Missing);
        }
        let load = |id: addr2line::gimli::SectionId| {
            Ok::<_, DwarfError>(Section::new(section(id.name()).unwrap_or(&[]), budget))
        };
        let dwarf = Dwarf::load(load)?;
        let code = Code::of(&file);
        let is_code = |address| code.segment(address).is_some();
        let mut sources = Sources::new(selection);
        let units = Units::read(&dwarf)?;
        let mut rows = Vec::new();
        for unit in units.iter() {
            lines::add_rows(unit, is_code, &mut sources, &mut rows)?;
        }
        lines::part(&mut rows);
        let scopes = functions::scopes(&units, is_code, &mut sources)?;
        let bits = match mode {
            _ if file.is_64() => 64,
            CpuMode::Long => 64,
            CpuMode::Real => 16,
            CpuMode::Protected | CpuMode::Paged => 32,
        };
        let jumps = jumps::jumps(bits, &rows, |start, end| code.bytes(start, end));
        let innermost = Innermost::of(&scopes);
        let scope_of_row = rows.iter().map(|row| innermost.at(row.start)).collect();
        let counts = Arc::new(Counts::new(code.0.into_iter().map(|(range, _)| range).collect()));
        let map = Self { counts, files: sources.paths, rows, jumps, scopes, scope_of_row };
        let has_lines =
            map.statements().next().is_some() || map.scopes.iter().any(|scope| scope.call.is_some());
        if has_lines { Ok(map) } else { Err(Problem::NoSource) }
    }

    /// Returns the collector for the engines that run the image.
    pub fn counts(&self) -> Arc<dyn Coverage> {
        Arc::clone(&self.counts) as Arc<dyn Coverage>
    }

    /// Returns the paths of the source files that have code in the image.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Adds the executions so far to a report.
    pub fn add_to(&self, report: &mut Report) {
        let executed = self.counts.executed();
        self.add_lines(report, &executed);
        self.add_functions(report, &executed);
        self.add_branches(report, &executed);
    }

    /// Returns the rows that count, with their index and file: the beginnings of statements in selected files.
    fn statements(&self) -> impl Iterator<Item = (usize, &Row, usize)> {
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(index, row)| {
            Some((index, row, row.file.filter(|_| row.is_statement && row.line > 0)?))
        })
    }

    /// A line in one scope was executed as often as the part of it that was executed most, and in all scopes together as often
    /// as the sum.
    fn add_lines(&self, report: &mut Report, executed: &Executed) {
        let mut lines: BTreeMap<(usize, u32, Option<usize>), u64> = BTreeMap::new();
        for (index, row, file) in self.statements() {
            // A row without code of its own shares the instruction of the next one.
            let code = row.start..row.end.max(row.start.saturating_add(1));
            let most = executed.within(code).iter().map(|(_, count)| count.executed).max();
            let of_line = lines.entry((file, row.line, self.scope_of_row[index])).or_default();
            *of_line = most.unwrap_or(0).max(*of_line);
        }
        // The line of a call has the code that was inlined there.
        for Scope { call, parent, code, .. } in &self.scopes {
            if let Some((file, line)) = call {
                let of_line = lines.entry((*file, *line, *parent)).or_default();
                *of_line = entries(code, executed).max(*of_line);
            }
        }
        for ((file, line, _), executed) in lines {
            report.add_line(&self.files[file], line, executed);
        }
    }

    fn add_functions(&self, report: &mut Report, executed: &Executed) {
        for Scope { function, code, .. } in &self.scopes {
            let Some(Function { file, line, name }) = function.as_deref() else { continue };
            report.add_function(&self.files[*file], *line, name, entries(code, executed));
        }
    }

    /// The branches of a line are numbered by address in each scope. Those with one number are one.
    fn add_branches(&self, report: &mut Report, executed: &Executed) {
        let mut numbers: BTreeMap<(usize, u32, Option<usize>), u32> = BTreeMap::new();
        for jump in &self.jumps {
            let row = &self.rows[jump.row];
            let Some(file) = row.file else { continue };
            let number = numbers.entry((file, row.line, self.scope_of_row[jump.row])).or_default();
            let Count { executed, jumped } = executed.at(jump.address);
            let branch = Branch { executed, jumped };
            report.add_branch(&self.files[file], row.line, *number, branch);
            *number += 1;
        }
    }
}

/// Returns how often a function began: the executions of the first of its instructions that was executed. Of an inlined function
/// that need not be the first of all.
fn entries(code: &[Range<u64>], executed: &Executed) -> u64 {
    let mut first = code.iter().filter_map(|range| executed.within(range.clone()).first());
    first.next().map_or(0, |(_, count)| count.executed)
}

/// The code of an image, by address: addresses, and their bytes in the file.
struct Code<'a>(Vec<(Range<u64>, &'a [u8])>);

impl<'a> Code<'a> {
    fn of(file: &read::File<'a, File<'a>>) -> Self {
        let is_executable = |flags| match flags {
            SegmentFlags::Elf { p_flags, .. } => p_flags.contains(elf::PF_X),
            _ => true,
        };
        let segments = file.segments().filter(|segment| is_executable(segment.flags()));
        let segment = |segment: object::Segment<'a, '_, File<'a>>| {
            let (start, bytes) = (segment.address(), segment.data().ok()?);
            Some((start..start.checked_add(bytes.len() as u64)?, bytes))
        };
        let mut code: Vec<_> = segments.filter_map(segment).collect();
        code.sort_by_key(|(range, _)| range.start);
        Self(code)
    }

    fn segment(&self, address: u64) -> Option<&(Range<u64>, &'a [u8])> {
        let behind = self.0.partition_point(|(range, _)| range.start <= address);
        self.0.get(behind.checked_sub(1)?).filter(|(range, _)| range.contains(&address))
    }

    /// Returns the bytes of a range of addresses, as far as it is in one segment.
    fn bytes(&self, start: u64, end: u64) -> &'a [u8] {
        let bytes = self.segment(start).and_then(|(range, bytes)| {
            let from = usize::try_from(start - range.start).ok()?;
            let to = usize::try_from(end.min(range.end).checked_sub(range.start)?).ok()?;
            bytes.get(from..to)
        });
        bytes.unwrap_or(&[])
    }
}
