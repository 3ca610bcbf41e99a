//! Images made by hand: a good one, and one for each thing that can be wrong.

use guest_abi::note::{Descriptor, Note};
use zerocopy::IntoBytes;

use super::*;

const CODE: [u8; 4] = [0xF4; 4];

/// An ELF32 image in the making.
#[derive(Clone)]
struct Elf32 {
    class: u8,
    order: u8,
    kind: u16,
    machine: u16,
    entry: u32,
    /// Type, file offset, address, size in the file, size in memory, flags.
    headers: Vec<[u32; 6]>,
    note: Vec<u8>,
}

const HEADER: u32 = 52;
const PROGRAM_HEADER: u32 = 32;
const PF_RX: u32 = 5;
/// Where the note and the code lie in the file.
const NOTE_AT: u32 = 0x200;
const CODE_AT: u32 = 0x300;

impl Elf32 {
    /// One segment of code and the note.
    fn good() -> Self {
        let note = Note::new(CpuMode::Protected).as_bytes().to_vec();
        let note_len = u32::try_from(note.len()).expect("short");
        Self {
            class: 1,
            order: 1,
            kind: 2,
            machine: 3,
            entry: 0x7000,
            headers: vec![[1, CODE_AT, 0x7000, 4, 0x100, PF_RX], [4, NOTE_AT, 0, note_len, note_len, 4]],
            note,
        }
    }

    fn with_descriptor(descriptor: Descriptor) -> Self {
        let mut elf = Self::good();
        let at = elf.note.len() - size_of::<Descriptor>();
        elf.note[at..].copy_from_slice(descriptor.as_bytes());
        elf
    }

    fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0x7F, b'E', b'L', b'F', self.class, self.order, 1, 0];
        file.resize(16, 0);
        let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
        let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
        half(&mut file, self.kind);
        half(&mut file, self.machine);
        for value in [1, self.entry, HEADER, 0, 0] {
            word(&mut file, value);
        }
        let count = u16::try_from(self.headers.len()).expect("few");
        for value in [52, 32, count, 40, 0, 0] {
            half(&mut file, value);
        }
        for &[kind, offset, address, file_size, memory_size, flags] in &self.headers {
            for value in [kind, offset, address, address, file_size, memory_size, flags, 4] {
                word(&mut file, value);
            }
        }
        assert!(file.len() <= NOTE_AT as usize && PROGRAM_HEADER * u32::from(count) + HEADER <= NOTE_AT);
        file.resize(NOTE_AT as usize, 0);
        file.extend(&self.note);
        file.resize(CODE_AT as usize, 0);
        file.extend(CODE);
        file
    }

    fn parse(&self) -> Result<Contents, Problem> {
        parse(&self.bytes(), Request::default())
    }
}

/// What is said of the good image after `change`.
fn problem(change: impl FnOnce(&mut Elf32)) -> String {
    let mut elf = Elf32::good();
    change(&mut elf);
    elf.parse().expect_err("a bad image").to_string()
}

#[test]
fn a_good_image_is_taken_apart() {
    let segment = Segment { address: 0x7000, bytes: CODE.to_vec(), size: 0x100 };
    let contents = Contents {
        start: Start::Boot { mode: CpuMode::Protected, entry: 0x7000 },
        segments: vec![segment],
        tests: Vec::new(),
    };
    assert_eq!(Elf32::good().parse().expect("good"), contents);
}

#[test]
fn an_image_cut_off_anywhere_is_refused() {
    let file = Elf32::good().bytes();
    for len in 0..file.len() {
        assert!(parse(&file[..len], Request::default()).is_err(), "the first {len} bytes");
    }
}

#[test]
fn what_is_no_elf_file_is_told_apart() {
    assert!(matches!(parse(b"", Request::default()), Err(Problem::Empty)));
    assert!(matches!(parse(b"#!/bin/sh\n", Request::default()), Err(Problem::NotElf)));
    assert!(matches!(parse(&[0; 4096], Request::default()), Err(Problem::NotElf)));
}

#[test]
fn elf_files_of_other_kinds_are_named() {
    assert!(problem(|elf| elf.machine = 40).starts_with("an ELF file for another machine (number 40)"));
    assert!(problem(|elf| elf.kind = 1).starts_with("an object file"));
    assert!(problem(|elf| elf.kind = 3).starts_with("a dynamic or position-independent"));
    assert!(problem(|elf| elf.kind = 4).starts_with("an ELF file of type 4"));
    assert!(problem(|elf| elf.order = 2).starts_with("a big-endian"));
    for kind in [PT_INTERP.0, PT_DYNAMIC.0] {
        let text = problem(|elf| elf.headers.push([kind, CODE_AT, 0, 4, 4, 4]));
        assert!(text.starts_with("a dynamically linked ELF file"), "{text}");
    }
}

#[test]
fn segments_must_lie_where_images_go() {
    for address in [0, 0x1000, 0x2000, 0x6FFC, 0xC000_0000, 0xFFFF_F000, 0xFFFF_FFFE] {
        let text = problem(|elf| elf.headers.push([1, CODE_AT, address, 4, 0x1000, 6]));
        assert!(
            text.starts_with("segment 1 (") && text.contains("is not within 0x7000 to 0xc0000000"),
            "{text}"
        );
    }
    let text = problem(|elf| elf.headers[0][4] = 0xFFFF_FFFF);
    assert!(text.starts_with("segment 0 (0x7000 to 0x100006fff)"), "{text}");
}

#[test]
fn segments_must_not_overlap() {
    for address in [0x7000, 0x70FF] {
        let text = problem(|elf| elf.headers.push([1, CODE_AT, address, 4, 4, 6]));
        assert_eq!(text, "segments 0 and 1 overlap");
    }
    let mut elf = Elf32::good();
    elf.headers.push([1, CODE_AT, 0x7100, 4, 4, 6]);
    assert_eq!(elf.parse().expect("beside each other").segments.len(), 2);
}

#[test]
fn a_segment_must_be_all_in_the_file_and_fit_into_its_memory() {
    assert!(problem(|elf| elf.headers[0][1] = 0x1000).contains("segment 0 is not all in the file"));
    assert!(problem(|elf| elf.headers[0][3] = u32::MAX).contains("segment 0 is not all in the file"));
    assert!(problem(|elf| elf.headers[0][4] = 3).contains("segment 0 is larger in the file than in memory"));
    assert_eq!(problem(|elf| elf.headers.truncate(0)), Problem::NoSegments.to_string());
    assert_eq!(problem(|elf| elf.headers = vec![elf.headers[1]]), Problem::NoSegments.to_string());
}

#[test]
fn the_entry_must_be_low_and_in_code() {
    assert!(problem(|elf| elf.entry = 0x1_0000).starts_with("its entry 0x10000 is not below 0x10000"));
    for entry in [0, 0x6FFF, 0x7004] {
        assert!(
            problem(|elf| elf.entry = entry).contains("in none of its executable segments"),
            "{entry:#x}"
        );
    }
    assert!(problem(|elf| elf.headers[0][5] = 6).contains("in none of its executable segments"));
}

#[test]
fn the_note_must_be_there_and_whole() {
    assert_eq!(problem(|elf| elf.headers.truncate(1)), Problem::NoNote.to_string());
    assert_eq!(problem(|elf| elf.note[12] = b'X'), Problem::NoNote.to_string());
    assert_eq!(problem(|elf| elf.note[8] = 2), Problem::NoNote.to_string());
    assert!(problem(|elf| elf.note[4] = 100).contains("damaged"));
    assert_eq!(problem(|elf| elf.note[4] = 8), Problem::BadNote.to_string());
}

#[test]
fn an_image_of_another_abi_is_refused_with_both_versions() {
    let descriptor = Descriptor { abi_major: 2, abi_minor: 3, ..Descriptor::new(CpuMode::Protected) };
    let text = Elf32::with_descriptor(descriptor).parse().expect_err("ABI 2.3").to_string();
    assert!(text.starts_with("built for guest ABI 2.3, and this host has ABI 1.1"), "{text}");
}

#[test]
fn a_note_that_asks_for_what_there_is_not_is_refused() {
    let good = Descriptor::new(CpuMode::Protected);
    let parse = |descriptor| Elf32::with_descriptor(descriptor).parse().expect_err("refused");
    assert!(matches!(parse(Descriptor { mode: 9, ..good }), Problem::UnknownMode(9)));
    assert!(matches!(parse(Descriptor { start_mode: 9, ..good }), Problem::UnknownMode(9)));
    let start_mode = CpuMode::Long as u32;
    assert!(matches!(parse(Descriptor { start_mode, ..good }), Problem::StartMode(CpuMode::Long)));
    let mode = CpuMode::Long as u32;
    assert!(parse(Descriptor { mode, ..good }).to_string().starts_with("a 32-bit ELF file for long mode"));
}

/// The good image without its note, as others build them.
fn foreign(request: Request) -> Result<Contents, Problem> {
    let mut elf = Elf32::good();
    elf.headers.truncate(1);
    parse(&elf.bytes(), request)
}

#[test]
fn an_image_without_a_note_starts_in_the_mode_that_was_asked_for() {
    let request = |mode| Request { mode: Some(mode), ..Request::default() };
    for mode in [CpuMode::Real, CpuMode::Protected, CpuMode::Paged] {
        let start = Start::Direct { mode, entry: 0x7000 };
        assert_eq!(foreign(request(mode)).expect("good").start, start);
    }
    let text = foreign(request(CpuMode::Long)).expect_err("32-bit").to_string();
    assert!(text.starts_with("a 32-bit ELF file for long mode"), "{text}");
    assert!(matches!(foreign(Request::default()), Err(Problem::NoNote)));
}

#[test]
fn an_image_without_a_note_may_be_started_elsewhere_but_not_loaded_elsewhere() {
    let request = Request { mode: Some(CpuMode::Protected), entry: Some(0x7002), ..Request::default() };
    assert_eq!(
        foreign(request).expect("good").start,
        Start::Direct { mode: CpuMode::Protected, entry: 0x7002 }
    );
    assert!(matches!(foreign(Request { entry: Some(0x7004), ..request }), Err(Problem::EntryOutside { .. })));
    assert!(matches!(foreign(Request { load: Some(0), ..request }), Err(Problem::LoadOfElf)));
}

#[test]
fn an_image_with_a_note_goes_where_it_says() {
    let parse = |request| parse(&Elf32::good().bytes(), request);
    let long = Request { mode: Some(CpuMode::Long), ..Request::default() };
    assert!(matches!(parse(long), Err(Problem::OtherMode { .. })));
    let entry = Request { entry: Some(0x7000), ..Request::default() };
    assert!(matches!(parse(entry), Err(Problem::Superfluous { option: "--entry" })));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(5000))]

    /// A few bytes changed anywhere: an image, or an error.
    #[test]
    fn a_damaged_image_never_panics(
        damage in proptest::collection::vec((0..0x304usize, proptest::prelude::any::<u8>()), 1..6),
    ) {
        let mut file = Elf32::good().bytes();
        for (at, byte) in damage {
            file[at] = byte;
        }
        let _ = parse(&file, Request::default());
        let _ = parse(&file, Request { mode: Some(CpuMode::Protected), ..Request::default() });
    }
}
