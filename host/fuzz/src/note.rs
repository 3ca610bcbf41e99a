//! The ABI note, in an image that is sound in all else: accepted is what a second, plain reading of the
//! notes accepts.

use guest_abi::{VERSION, mode::CpuMode, note, test};
use guestlab::image::{Image, Request, Start};

use super::elf::{self, Segment};

const CODE: u32 = 0x7000;

/// Reads a segment of notes.
pub fn run(data: &[u8]) {
    let segments = [
        Segment { kind: 1, address: CODE, flags: 5, bytes: &[0xF4; 4] },
        Segment { kind: 4, address: 0, flags: 4, bytes: data },
    ];
    let file = elf::file(CODE, &segments, &[]);
    let start = Image::parse("note", file, Request::default()).ok().map(|image| image.start());
    match (start, mode(data)) {
        (Some(Start::Boot { mode, entry: 0x7000 }), Some(said)) => assert_eq!(mode, said),
        (None, None) => {}
        other => panic!("the loader and the notes differ: {other:?}"),
    }
}

/// The mode of the first note that is ours, if a 32-bit image of this ABI can be started by it, and all
/// notes can be read, those of tests too.
fn mode(mut notes: &[u8]) -> Option<CpuMode> {
    let word = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?));
    let half = |bytes: &[u8]| Some(u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?));
    let aligned = |len: usize| len.next_multiple_of(4);
    let mut found = None;
    while !notes.is_empty() {
        let (name_len, len) = (word(notes)? as usize, word(notes.get(4..)?)? as usize);
        let kind = word(notes.get(8..)?)?;
        let name = notes.get(12..)?.get(..name_len)?;
        let rest = notes.get(12 + aligned(name_len)..)?;
        let descriptor = rest.get(..len)?;
        if name == note::NAME && kind == note::TYPE && found.is_none() {
            let version = (half(descriptor)?, half(descriptor.get(2..)?)?);
            let modes = (word(descriptor.get(4..)?)?, word(descriptor.get(8..)?)?);
            let mode = CpuMode::try_from(modes.1).ok()?;
            let good = version.0 == VERSION.major && version <= (VERSION.major, VERSION.minor);
            found =
                Some(mode).filter(|&mode| good && modes.0 == CpuMode::Real as u32 && mode != CpuMode::Long);
            found?;
        }
        if name == note::NAME && kind == test::TYPE {
            test::Test::parse(descriptor)?;
        }
        notes = rest.get(aligned(len)..).unwrap_or(&[]);
    }
    found
}
