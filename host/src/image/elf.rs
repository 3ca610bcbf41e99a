//! ELF32 and ELF64 images.

use guest_abi::{layout, mode::CpuMode};
use object::{
    Endianness, FileKind,
    elf::{self, FileHeader32, FileHeader64, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader, SectionHeader},
};

use super::{Contents, Problem, Request, Segment, Start, multiboot, note};

/// Checks an ELF file and takes out what is to be loaded.
pub(super) fn parse(file: &[u8], request: Request) -> Result<Contents, Problem> {
    if file.is_empty() {
        return Err(Problem::Empty);
    }
    if !file.starts_with(&elf::ELFMAG) {
        return Err(Problem::NotElf);
    }
    if request.load.is_some() {
        return Err(Problem::LoadOfElf);
    }
    match FileKind::parse(file).map_err(damaged)? {
        FileKind::Elf32 => parse_class::<FileHeader32<Endianness>>(file, elf::EM_386, request),
        FileKind::Elf64 => parse_class::<FileHeader64<Endianness>>(file, elf::EM_X86_64, request),
        _ => Err(Problem::NotElf),
    }
}

pub(super) fn damaged(error: object::read::Error) -> Problem {
    Problem::Damaged(error.to_string())
}

fn parse_class<Elf: FileHeader<Endian = Endianness>>(
    file: &[u8],
    machine: elf::Machine,
    request: Request,
) -> Result<Contents, Problem> {
    let header = Elf::parse(file).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    check_kind(header, endian, machine)?;
    let headers = header.program_headers(endian, file).map_err(damaged)?;
    check_static::<Elf>(headers, endian)?;
    check_sections(header, endian, file)?;
    let is_64 = header.is_type_64();
    let loads: Vec<&Elf::ProgramHeader> =
        headers.iter().filter(|header| header.p_type(endian) == PT_LOAD).collect();
    let entry = header.e_entry(endian).into();
    match note::find::<Elf>(headers, endian, file)? {
        Some(descriptor) => {
            let mode = note::check(&descriptor)?;
            check_request(mode, request)?;
            check_class(mode, is_64)?;
            let segments = segments::<Elf>(&loads, endian, file, layout::IMAGE_BASE)?;
            let entry = executable_entry::<Elf>(low_entry(entry)?.into(), &loads, endian)?;
            let start = Start::Boot { mode, entry: low_entry(entry.into())? };
            Ok(Contents { start, segments, tests: note::tests::<Elf>(headers, endian, file)? })
        }
        None => {
            let segments = segments::<Elf>(&loads, endian, file, 0)?;
            let entry = request.entry.map_or(entry, u64::from);
            let entry = executable_entry::<Elf>(entry, &loads, endian)?;
            let start = foreign_start(file, request, is_64, entry)?;
            Ok(Contents { start, segments, tests: Vec::new() })
        }
    }
}

/// What is asked for must be what a guest of guest-rt does.
fn check_request(is: CpuMode, request: Request) -> Result<(), Problem> {
    match request {
        Request { entry: Some(_), .. } => Err(Problem::Superfluous { option: "--entry" }),
        Request { mode: Some(wanted), .. } if wanted != is => Err(Problem::OtherMode { is, wanted }),
        _ => Ok(()),
    }
}

/// How an image without our note starts: as the Multiboot kernel that it is, or directly in the
/// mode that was asked for.
fn foreign_start(file: &[u8], request: Request, is_64: bool, entry: u32) -> Result<Start, Problem> {
    if matches!(request.mode, None | Some(CpuMode::Protected)) && !is_64 && multiboot::check(file)? {
        return Ok(Start::Multiboot { entry });
    }
    let mode = request.mode.ok_or(Problem::NoNote)?;
    check_class(mode, is_64)?;
    if mode == CpuMode::Real {
        low_entry(entry.into())?;
    }
    Ok(Start::Direct { mode, entry })
}

fn check_kind<Elf: FileHeader<Endian = Endianness>>(
    header: &Elf,
    endian: Endianness,
    machine: elf::Machine,
) -> Result<(), Problem> {
    if endian != Endianness::Little {
        return Err(Problem::Kind("a big-endian ELF file".into()));
    }
    if header.e_machine(endian) != machine {
        return Err(Problem::Kind(format!(
            "an ELF file for another machine (number {})",
            header.e_machine(endian).0
        )));
    }
    match header.e_type(endian) {
        elf::ET_EXEC => Ok(()),
        elf::ET_DYN => Err(Problem::Kind("a dynamic or position-independent ELF file".into())),
        elf::ET_REL => Err(Problem::Kind("an object file that was not linked".into())),
        other => Err(Problem::Kind(format!("an ELF file of type {}", other.0))),
    }
}

fn check_static<Elf: FileHeader<Endian = Endianness>>(
    headers: &[Elf::ProgramHeader],
    endian: Endianness,
) -> Result<(), Problem> {
    let dynamic = |header: &Elf::ProgramHeader| [PT_INTERP, PT_DYNAMIC].contains(&header.p_type(endian));
    match headers.iter().any(dynamic) {
        true => Err(Problem::Kind("a dynamically linked ELF file".into())),
        false => Ok(()),
    }
}

/// Sections are not loaded, but they end a file: one that was cut off lacks some of them.
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

/// 64-bit code is in 64-bit files and nothing else is.
fn check_class(mode: CpuMode, is_64: bool) -> Result<(), Problem> {
    match (mode, is_64) {
        (CpuMode::Long, false) => Err(Problem::Kind("a 32-bit ELF file for long mode".into())),
        (CpuMode::Long, true) | (_, false) => Ok(()),
        (_, true) => Err(Problem::Kind(format!("a 64-bit ELF file for {} mode", mode.name()))),
    }
}

/// A loadable segment that has not been copied yet.
struct Load<'a> {
    address: u32,
    size: u32,
    bytes: &'a [u8],
}

impl Load<'_> {
    /// One past the last address.
    fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.size)
    }
}

/// The loadable segments, by physical address, each within what images may use, which begins at
/// `from`, and none over another. Nothing is copied before all of them are known to be sound.
fn segments<Elf: FileHeader<Endian = Endianness>>(
    headers: &[&Elf::ProgramHeader],
    endian: Endianness,
    file: &[u8],
    from: u32,
) -> Result<Vec<Segment>, Problem> {
    let mut loads = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        loads.extend(load::<Elf>(index, header, endian, file, from)?);
    }
    check_overlaps(&loads)?;
    if loads.is_empty() {
        return Err(Problem::NoSegments);
    }
    let segment = |Load { address, size, bytes }| Segment { address, bytes: bytes.to_vec(), size };
    Ok(loads.into_iter().map(segment).collect())
}

/// One loadable segment; `None` if it takes no memory.
fn load<'a, Elf: FileHeader<Endian = Endianness>>(
    index: usize,
    header: &Elf::ProgramHeader,
    endian: Endianness,
    file: &'a [u8],
    from: u32,
) -> Result<Option<Load<'a>>, Problem> {
    let (start, size): (u64, u64) = (header.p_paddr(endian).into(), header.p_memsz(endian).into());
    let bytes = header
        .data(endian, file)
        .map_err(|()| Problem::Damaged(format!("segment {index} is not all in the file")))?;
    if bytes.len() as u64 > size {
        return Err(Problem::Damaged(format!("segment {index} is larger in the file than in memory")));
    }
    let end = start.saturating_add(size);
    match (u32::try_from(start), u32::try_from(size)) {
        (_, Ok(0)) => Ok(None),
        (Ok(address), Ok(size)) if address >= from && end <= layout::MAX_MEMORY.into() => {
            Ok(Some(Load { address, size, bytes }))
        }
        _ => Err(Problem::OutOfRange { from, index, start, end }),
    }
}

fn check_overlaps(loads: &[Load<'_>]) -> Result<(), Problem> {
    let mut order: Vec<(usize, &Load<'_>)> = loads.iter().enumerate().collect();
    order.sort_by_key(|(_, load)| load.address);
    match order.windows(2).find(|pair| pair[0].1.end() > pair[1].1.address.into()) {
        Some(pair) => Err(Problem::Overlap { first: pair[0].0, second: pair[1].0 }),
        None => Ok(()),
    }
}

/// The physical address of the entry, which must lie in code that the image has. An entry is physical
/// or, in kernels that are linked to run elsewhere than they are loaded, virtual.
fn executable_entry<Elf: FileHeader<Endian = Endianness>>(
    entry: u64,
    loads: &[&Elf::ProgramHeader],
    endian: Endianness,
) -> Result<u32, Problem> {
    let offset = |load: &&Elf::ProgramHeader, start: u64| {
        let size: u64 = load.p_filesz(endian).into();
        let executable = load.p_flags(endian).0 & PF_X.0 != 0;
        entry.checked_sub(start).filter(|&offset| executable && offset < size)
    };
    let physical = loads.iter().any(|load| offset(load, load.p_paddr(endian).into()).is_some());
    let found = match physical {
        true => Some(entry),
        false => loads.iter().find_map(|load| {
            let physical: u64 = load.p_paddr(endian).into();
            Some(physical + offset(load, load.p_vaddr(endian).into())?)
        }),
    };
    found.and_then(|entry| u32::try_from(entry).ok()).ok_or(Problem::EntryOutside { entry })
}

/// An entry that a real-mode start reaches.
fn low_entry(entry: u64) -> Result<u16, Problem> {
    u16::try_from(entry).map_err(|_| Problem::EntryTooHigh { entry })
}

#[cfg(test)]
mod tests;
