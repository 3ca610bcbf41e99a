//! The image's notes: its ABI, and its tests.
//!
//! Only notes with Guestlab's name and type count. All other notes are skipped, however they are aligned, padded or
//! damaged.

use guest_abi::{
    VERSION, Version,
    mode::CpuMode,
    note::{Descriptor, NAME, TYPE},
    test,
};
use object::{
    Endianness,
    elf::PT_NOTE,
    read::elf::{FileHeader, ProgramHeader},
};
use zerocopy::FromBytes;

use super::error::Problem;

/// The most bytes of notes that are read. Guestlab's have a few hundred. A hostile image may name the same bytes many
/// times.
pub(super) const MAX_SIZE: u64 = 16 << 20;

/// The size of Guestlab's name with its padding.
const NAME_SIZE: usize = NAME.len().next_multiple_of(4);

/// Checks a note's descriptor. Returns the mode that the image runs in.
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

/// Guestlab's notes in an image.
#[derive(Debug, Default)]
pub(super) struct Notes<'a> {
    /// The descriptor of the first note about the ABI.
    pub(super) abi: Option<&'a [u8]>,
    /// The descriptors of the notes about tests, in their order.
    tests: Vec<&'a [u8]>,
}

impl<'a> Notes<'a> {
    /// Finds Guestlab's notes by an image's program headers.
    pub(super) fn find<Elf: FileHeader<Endian = Endianness>>(
        headers: &[Elf::ProgramHeader],
        endian: Endianness,
        file: &'a [u8],
    ) -> Result<Self, Problem> {
        let (mut notes, mut size) = (Self::default(), 0);
        for header in headers.iter().filter(|header| header.p_type(endian) == PT_NOTE) {
            let (offset, len) = header.file_range(endian);
            let area = file.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            let area = &area[..usize::try_from(len).map_or(area.len(), |len| len.min(area.len()))];
            size += area.len() as u64;
            if size > MAX_SIZE {
                return notes.abi.map_or(Ok(Self::default()), |_| Err(Problem::TooManyNotes));
            }
            notes.read(area)?;
        }
        Ok(notes)
    }

    /// Reads Guestlab's notes in an area of notes. The alignment of other notes is unknown, so the area is searched for
    /// Guestlab's header and name.
    fn read(&mut self, mut area: &'a [u8]) -> Result<(), Problem> {
        while let Ok(([name_size, size, kind], rest)) = <[u32; 3]>::read_from_prefix(area) {
            let ours = name_size as usize == NAME.len() && rest.starts_with(&NAME);
            if !ours || ![TYPE, test::TYPE].contains(&kind) {
                area = &area[4..];
                continue;
            }
            let rest = rest.get(NAME_SIZE..).ok_or(Problem::BadNote)?;
            let (descriptor, rest) = rest.split_at_checked(size as usize).ok_or(Problem::BadNote)?;
            match kind {
                TYPE => _ = self.abi.get_or_insert(descriptor),
                _ => self.tests.push(descriptor),
            }
            area = rest.get(descriptor.len().next_multiple_of(4) - descriptor.len()..).unwrap_or_default();
        }
        Ok(())
    }

    /// The tests that the image has.
    pub(super) fn tests(&self) -> Result<Vec<Test>, Problem> {
        let parse = |note: &&[u8]| test::Test::parse(note).map(Test::from).ok_or(Problem::BadNote);
        self.tests.iter().map(parse).collect()
    }
}

/// A test that an image has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// The text that its panic must contain; `None` if it must not panic.
    pub should_panic: Option<String>,
    /// The reason why it is skipped, perhaps empty; `None` if it runs.
    pub ignored: Option<String>,
}

impl From<test::Test<'_>> for Test {
    fn from(test::Test { name, should_panic, ignored }: test::Test<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self { name: name.into(), should_panic: owned(should_panic), ignored: owned(ignored) }
    }
}
