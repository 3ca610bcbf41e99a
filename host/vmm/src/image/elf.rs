//! ELF32 and ELF64 images.

use std::{collections::BTreeSet, ops::Range};

use guest_abi::{layout, mode::CpuMode};
use object::{
    Endianness, FileKind,
    elf::{self, FileHeader32, FileHeader64, PF_X, PT_INTERP, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader, SectionHeader},
};

use super::{
    contents::{Contents, Request, Segment, Start},
    error::Problem,
    kind,
    multiboot::{self, Found},
    note,
};

/// Checks an ELF file. Returns the segments to load and the way to start.
pub(super) fn parse(file: &[u8], request: Request) -> Result<Contents, Problem> {
    if request.load.is_some() {
        return Err(Problem::LoadOfElf);
    }
    match FileKind::parse(file).map_err(damaged)? {
        FileKind::Elf32 => parse_class::<FileHeader32<Endianness>>(file, request),
        FileKind::Elf64 => parse_class::<FileHeader64<Endianness>>(file, request),
        _ => Err(Problem::NotElf),
    }
}

/// Returns true if a file begins with the magic number of ELF.
pub(super) fn is_elf(file: &[u8]) -> bool {
    file.starts_with(&elf::ELFMAG)
}

fn damaged(error: object::read::Error) -> Problem {
    Problem::Damaged(error.to_string())
}

fn parse_class<Elf: FileHeader<Endian = Endianness>>(
    file: &[u8],
    request: Request,
) -> Result<Contents, Problem> {
    let header = Elf::parse(file).map_err(damaged)?;
    let (endian, is_64) = (header.endian().map_err(damaged)?, header.is_type_64());
    let entry = header.e_entry(endian).into();
    kind::check_machine(header.e_machine(endian), is_64, endian == Endianness::Little)?;
    kind::check_type(header.e_type(endian), entry)?;
    let headers = header.program_headers(endian, file).map_err(damaged)?;
    if headers.iter().any(|header| header.p_type(endian) == PT_INTERP) {
        return Err(kind::dynamic());
    }
    let loads: Vec<&Elf::ProgramHeader> =
        headers.iter().filter(|header| header.p_type(endian) == PT_LOAD).collect();
    let notes = note::Notes::find::<Elf>(headers, endian, file)?;
    match notes.abi {
        Some(descriptor) => {
            check_sections(header, endian, file)?;
            let mode = note::check(descriptor)?;
            check_request(mode, request)?;
            check_class(mode, is_64)?;
            let segments = segments::<Elf>(&loads, endian, file, layout::IMAGE_BASE)?;
            let entry = physical_entry::<Elf>(low_entry(entry)?.into(), &loads, endian)?;
            let start = Start::Boot { mode, entry: low_entry(entry.into())? };
            Ok(Contents { start, segments, tests: notes.tests()? })
        }
        None => foreign(file, request, header, &loads, endian),
    }
}

/// Returns the contents of an image without Guestlab's note: a Multiboot kernel, or code that starts directly in the
/// requested mode. As in boot loaders, sections do not matter.
fn foreign<Elf: FileHeader<Endian = Endianness>>(
    file: &[u8],
    request: Request,
    header: &Elf,
    loads: &[&Elf::ProgramHeader],
    endian: Endianness,
) -> Result<Contents, Problem> {
    let entry = request.entry.map_or(header.e_entry(endian).into(), u64::from);
    let is_64 = header.is_type_64();
    let found = multiboot::find(file);
    found.check_mode(request)?;
    let header = found.wanted(request);
    if let Some(header) = header {
        header.check()?;
        if header.has_addresses() {
            return header.contents(file, request);
        }
    }
    check_addresses::<Elf>(loads, endian)?;
    let segments = segments::<Elf>(loads, endian, file, 0)?;
    let entry = physical_entry::<Elf>(entry, loads, endian)?;
    let start = match request.mode {
        _ if header.is_some() => Start::Multiboot { entry },
        Some(mode) => {
            // A kernel's 32-bit code may be in a 64-bit file.
            let kernel = mode == CpuMode::Protected && !matches!(found, Found::Nothing);
            check_class(mode, is_64 && !kernel)?;
            if mode == CpuMode::Real {
                low_entry(entry.into())?;
            }
            Start::Direct { mode, entry }
        }
        None => match found {
            Found::Fault(fault, _) => return Err(Problem::Multiboot(fault)),
            _ => return Err(Problem::NoNote),
        },
    };
    Ok(Contents { start, segments, tests: Vec::new() })
}

/// Checks that a user's request matches a guest of guest-rt.
fn check_request(is: CpuMode, request: Request) -> Result<(), Problem> {
    match request {
        Request { entry: Some(_), .. } => Err(Problem::Superfluous { option: "--entry" }),
        Request { mode: Some(wanted), .. } if wanted != is => Err(Problem::OtherMode { is, wanted }),
        _ => Ok(()),
    }
}

/// Checks that all sections are in the file. They are not loaded, but they are at the end of the file, so this detects
/// truncation.
fn check_sections<Elf: FileHeader<Endian = Endianness>>(
    header: &Elf,
    endian: Endianness,
    file: &[u8],
) -> Result<(), Problem> {
    for section in header.section_headers(endian, file).map_err(damaged)? {
        section.data(endian, file).map_err(damaged)?;
    }
    Ok(())
}

/// Checks that 64-bit code is in a 64-bit file, and other code is not.
fn check_class(mode: CpuMode, is_64: bool) -> Result<(), Problem> {
    let name = mode.name();
    let (is, mend) = match (mode, is_64) {
        (CpuMode::Long, true) | (CpuMode::Real | CpuMode::Protected | CpuMode::Paged, false) => return Ok(()),
        (CpuMode::Long, false) => (
            "a 32-bit ELF file for long mode".into(),
            "build it with `gcc -m64` (NASM: `-f elf64`), or run it with --mode protected",
        ),
        (CpuMode::Real, true) => (
            "a 64-bit ELF file for real mode".into(),
            "assemble 16-bit code with `as --32` (NASM: `-f elf32`) and link it with `ld -m elf_i386`",
        ),
        (_, true) => (
            format!("a 64-bit ELF file for {name} mode"),
            "build it with `gcc -m32` (`as --32`, NASM: `-f elf32`, `ld -m elf_i386`), or run it with --mode long",
        ),
    };
    Err(Problem::Kind { is, mend })
}

/// Refuses segments that have only virtual addresses. A kernel may be loaded at 0 and linked to run elsewhere; then all
/// its segments have the same distance between the two addresses.
fn check_addresses<Elf: FileHeader<Endian = Endianness>>(
    loads: &[&Elf::ProgramHeader],
    endian: Endianness,
) -> Result<(), Problem> {
    let addresses = |load: &Elf::ProgramHeader| -> (u64, u64) {
        (load.p_paddr(endian).into(), load.p_vaddr(endian).into())
    };
    let distance = |(physical, run): (u64, u64)| run.wrapping_sub(physical);
    let all: Vec<(u64, u64)> =
        loads.iter().filter(|load| load.p_memsz(endian).into() > 0).map(|load| addresses(load)).collect();
    let sound: BTreeSet<u64> = all.iter().filter(|pair| pair.0 != 0).map(|&pair| distance(pair)).collect();
    match all.iter().position(|&pair| pair.0 == 0 && pair.1 != 0 && !sound.contains(&distance(pair))) {
        Some(index) => Err(Problem::NoPhysicalAddress { index, start: all[index].1 }),
        None => Ok(()),
    }
}

/// Returns the loadable segments. Each lies in the addresses for images, which begin at `from`. No two overlap.
fn segments<Elf: FileHeader<Endian = Endianness>>(
    headers: &[&Elf::ProgramHeader],
    endian: Endianness,
    file: &[u8],
    from: u32,
) -> Result<Vec<Segment>, Problem> {
    let mut segments = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        segments.extend(segment::<Elf>(index, header, endian, file, from)?);
    }
    check_overlaps(&segments)?;
    match segments.is_empty() {
        true => Err(Problem::NoSegments),
        false => Ok(segments),
    }
}

/// Returns one loadable segment, or `None` if it has no bytes in memory.
fn segment<Elf: FileHeader<Endian = Endianness>>(
    index: usize,
    header: &Elf::ProgramHeader,
    endian: Endianness,
    file: &[u8],
    from: u32,
) -> Result<Option<Segment>, Problem> {
    const MEND: &str = "link it to where it is loaded, or name that address in the linker script: \
         `.text : AT(ADDR(.text) - OFFSET)`";
    let (start, size): (u64, u64) = (header.p_paddr(endian).into(), header.p_memsz(endian).into());
    let bytes = file_range::<Elf>(header, endian, file)
        .ok_or_else(|| Problem::Damaged(format!("segment {index} is not all in the file")))?;
    if bytes.len() as u64 > size {
        return Err(Problem::Damaged(format!("segment {index} is larger in the file than in memory")));
    }
    let end = start.saturating_add(size);
    match (u32::try_from(start), u32::try_from(size)) {
        (_, Ok(0)) => Ok(None),
        (Ok(address), Ok(size)) if address >= from && end <= layout::MAX_MEMORY.into() => {
            Ok(Some(Segment { address, size, bytes }))
        }
        _ => Err(Problem::OutOfRange { from, index, start, end, mend: MEND }),
    }
}

/// Returns the range of a segment's bytes in the file, if all of them are there.
fn file_range<Elf: FileHeader<Endian = Endianness>>(
    header: &Elf::ProgramHeader,
    endian: Endianness,
    file: &[u8],
) -> Option<Range<usize>> {
    let (offset, size) = header.file_range(endian);
    let range = usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(size)?).ok()?;
    match range.is_empty() {
        true => Some(0..0),
        false => Some(range).filter(|range| range.end <= file.len()),
    }
}

fn check_overlaps(segments: &[Segment]) -> Result<(), Problem> {
    let mut order: Vec<(usize, &Segment)> = segments.iter().enumerate().collect();
    order.sort_by_key(|(_, segment)| segment.address);
    match order.windows(2).find(|pair| pair[0].1.end() > pair[1].1.address.into()) {
        Some(pair) => Err(Problem::Overlap { first: pair[0].0, second: pair[1].0 }),
        None => Ok(()),
    }
}

/// Returns the physical address of the entry. It must lie in a segment's bytes in the file.
///
/// The entry is a physical address, or a virtual one in kernels that are linked to run elsewhere. Segments of code have
/// precedence, but the entry may lie in any segment: CPUs without paging and boot loaders do not distinguish them.
fn physical_entry<Elf: FileHeader<Endian = Endianness>>(
    entry: u64,
    loads: &[&Elf::ProgramHeader],
    endian: Endianness,
) -> Result<u32, Problem> {
    let addresses = |code: bool, physical: bool| {
        loads.iter().find_map(move |load| {
            let address: u64 = load.p_paddr(endian).into();
            let start = if physical { address } else { load.p_vaddr(endian).into() };
            let offset = entry.checked_sub(start).filter(|&offset| offset < load.p_filesz(endian).into())?;
            let is_code = load.p_flags(endian).0 & PF_X.0 != 0;
            (is_code == code).then(|| address.checked_add(offset)).flatten()
        })
    };
    let found = addresses(true, true)
        .or_else(|| addresses(true, false))
        .or_else(|| addresses(false, true))
        .or_else(|| addresses(false, false));
    found.and_then(|entry| u32::try_from(entry).ok()).ok_or(Problem::EntryOutside { entry })
}

/// Checks that a real-mode start reaches the entry.
fn low_entry(entry: u64) -> Result<u16, Problem> {
    u16::try_from(entry).map_err(|_| Problem::EntryTooHigh { entry })
}

#[cfg(test)]
mod tests;
