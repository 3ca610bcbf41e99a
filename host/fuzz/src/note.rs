//! The ABI note, in an image that is otherwise valid. A second, simple reader of notes must accept the same images.

use guest_abi::{VERSION, mode::CpuMode, note, test};
use guestlab::vmm::{Image, Request, Start};

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

/// Returns the mode of the first ABI note, if a 32-bit image of this ABI can start by it and all of Guestlab's notes are
/// valid. A note may begin at any word.
fn mode(notes: &[u8]) -> Option<CpuMode> {
    let word = |at: usize| Some(u32::from_le_bytes(*notes.get(at..)?.first_chunk()?));
    let half = |bytes: &[u8], at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (mut at, mut found) = (0, None);
    while let (Some(name_len), Some(len), Some(kind)) = (word(at), word(at + 4), word(at + 8)) {
        let name = notes.get(at + 12..at + 21);
        if name_len != 9 || name != Some(&note::NAME) || ![note::TYPE, test::TYPE].contains(&kind) {
            at += 4;
            continue;
        }
        let descriptor = notes.get(at + 24..)?.get(..len as usize)?;
        if kind == note::TYPE && found.is_none() {
            found = Some(descriptor);
        }
        if kind == test::TYPE {
            test::Test::parse(descriptor)?;
        }
        at += 24 + descriptor.len().next_multiple_of(4);
    }
    let descriptor = found?;
    let version = (half(descriptor, 0)?, half(descriptor, 2)?);
    let long = |at: usize| Some(u32::from_le_bytes(*descriptor.get(at..)?.first_chunk()?));
    let mode = CpuMode::try_from(long(8)?).ok()?;
    let good = version.0 == VERSION.major && version <= (VERSION.major, VERSION.minor);
    Some(mode).filter(|&mode| good && long(4) == Some(CpuMode::Real as u32) && mode != CpuMode::Long)
}
