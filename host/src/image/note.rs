//! The image's ABI note.

use guest_abi::{
    VERSION, Version,
    mode::CpuMode,
    note::{Descriptor, NAME, TYPE},
};
use object::{
    Endianness,
    read::elf::{FileHeader, ProgramHeader},
};
use zerocopy::FromBytes;

use super::Problem;

/// Checks a note's descriptor: the mode that the image runs in.
pub(super) fn check(descriptor: &[u8]) -> Result<CpuMode, Problem> {
    // The version comes first in every version's descriptor.
    let version = version(descriptor)?;
    if !VERSION.accepts(version) {
        return Err(Problem::Abi { guest: version });
    }
    let (descriptor, _) = Descriptor::read_from_prefix(descriptor).map_err(|_| Problem::BadNote)?;
    let mode = |raw: u32| CpuMode::try_from(raw).map_err(|unknown| Problem::UnknownMode(unknown.0));
    match mode(descriptor.start_mode)? {
        CpuMode::Real => mode(descriptor.mode),
        other => Err(Problem::StartMode(other)),
    }
}

fn version(descriptor: &[u8]) -> Result<Version, Problem> {
    let (major, rest) = u16::read_from_prefix(descriptor).map_err(|_| Problem::BadNote)?;
    let (minor, _) = u16::read_from_prefix(rest).map_err(|_| Problem::BadNote)?;
    Ok(Version { major, minor })
}

/// The descriptor of the first note that is ours, among an image's program headers.
pub(super) fn find<Elf: FileHeader<Endian = Endianness>>(
    headers: &[Elf::ProgramHeader],
    endian: Endianness,
    file: &[u8],
) -> Result<Option<Vec<u8>>, Problem> {
    for header in headers {
        let Some(mut notes) = header.notes(endian, file).map_err(super::elf::damaged)? else { continue };
        while let Some(note) = notes.next().map_err(super::elf::damaged)? {
            if note.name_bytes() == NAME && note.n_type(endian).0 == TYPE {
                return Ok(Some(note.desc().to_vec()));
            }
        }
    }
    Ok(None)
}
