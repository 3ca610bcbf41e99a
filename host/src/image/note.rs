//! The image's notes: its ABI, and its tests.

use guest_abi::{
    VERSION, Version,
    mode::CpuMode,
    note::{Descriptor, NAME, TYPE},
    test,
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
    Ok(ours::<Elf>(headers, endian, file, TYPE, 1)?.into_iter().next().map(<[u8]>::to_vec))
}

/// The tests that an image has, in the order of their notes.
pub(super) fn tests<Elf: FileHeader<Endian = Endianness>>(
    headers: &[Elf::ProgramHeader],
    endian: Endianness,
    file: &[u8],
) -> Result<Vec<Test>, Problem> {
    let notes = ours::<Elf>(headers, endian, file, test::TYPE, usize::MAX)?;
    notes.into_iter().map(|note| test::Test::parse(note).map(Test::from).ok_or(Problem::BadNote)).collect()
}

/// The descriptors of the notes that are ours and of a type, up to a number of them: what comes after is
/// not looked at.
fn ours<'a, Elf: FileHeader<Endian = Endianness>>(
    headers: &[Elf::ProgramHeader],
    endian: Endianness,
    file: &'a [u8],
    wanted: u32,
    at_most: usize,
) -> Result<Vec<&'a [u8]>, Problem> {
    let mut descriptors = Vec::new();
    for header in headers {
        let Some(mut notes) = header.notes(endian, file).map_err(super::elf::damaged)? else { continue };
        while let Some(note) = notes.next().map_err(super::elf::damaged)? {
            if note.name_bytes() == NAME && note.n_type(endian).0 == wanted {
                descriptors.push(note.desc());
            }
            if descriptors.len() == at_most {
                return Ok(descriptors);
            }
        }
    }
    Ok(descriptors)
}

/// A test that an image has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// Whether it is to panic, and what the message must contain then.
    pub should_panic: Option<String>,
    /// Whether it is to be left out, and why; perhaps nothing is said.
    pub ignored: Option<String>,
}

impl From<test::Test<'_>> for Test {
    fn from(test::Test { name, should_panic, ignored }: test::Test<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self { name: name.into(), should_panic: owned(should_panic), ignored: owned(ignored) }
    }
}
