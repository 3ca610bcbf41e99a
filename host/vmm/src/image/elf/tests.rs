//! Images made by hand: a good one, and one for each thing that can be wrong.

use guest_abi::note::{Descriptor, Note};
use zerocopy::IntoBytes;

use super::*;
use crate::image::Image;

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
/// The offsets of the note and the code in the file.
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

/// Returns the problem of the good image after `change`.
fn problem(change: impl FnOnce(&mut Elf32)) -> String {
    let mut elf = Elf32::good();
    change(&mut elf);
    elf.parse().expect_err("a bad image").to_string()
}

#[test]
fn a_good_image_is_taken_apart() {
    let segment = Segment { address: 0x7000, bytes: 0x300..0x304, size: 0x100 };
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
fn files_other_than_elf_are_named() {
    let parse = |bytes: &[u8]| Image::parse("x", bytes.to_vec(), Request::default()).expect_err("no image");
    assert!(matches!(parse(b""), Problem::Empty));
    assert!(matches!(parse(b"#!/bin/sh\n"), Problem::Format { is: "a script", .. }));
    assert!(matches!(parse(&[0; 4096]), Problem::NotElf));
}

#[test]
fn elf_files_of_other_kinds_are_named() {
    let text = |change: fn(&mut Elf32), beginning: &str, mend: &str| {
        let text = problem(change);
        assert!(text.starts_with(beginning) && text.contains(mend), "{text}");
    };
    text(|elf| elf.machine = 40, "an ELF file for another machine, ARM (number 40)", "x86");
    text(|elf| elf.machine = 243, "an ELF file for another machine, RISC-V (number 243)", "x86");
    text(|elf| elf.machine = 9999, "an ELF file for another machine, unknown here (number 9999)", "x86");
    text(|elf| elf.machine = 62, "an x32 ELF file", "gcc -m64");
    text(|elf| elf.kind = 1, "an object file", "ld -Ttext");
    text(|elf| elf.kind = 3, "a dynamic or position-independent", "-no-pie");
    text(|elf| elf.kind = 3, "a dynamic or position-independent", "-C relocation-model=static");
    text(|elf| (elf.kind, elf.entry) = (3, 0), "a dynamic ELF file without an entry: a shared library", "");
    text(|elf| elf.kind = 4, "a core dump", "");
    text(|elf| elf.kind = 5, "an ELF file of type 5", "");
    // Elsewhere in a big-endian file the bytes of each number are the other way round.
    text(|elf| (elf.order, elf.machine) = (2, 40 << 8), "a big-endian ELF file, for machine ARM", "x86");
    text(|elf| elf.headers.push([PT_INTERP.0, CODE_AT, 0, 4, 4, 4]), "a dynamically linked", "-static");
}

#[test]
fn other_program_headers_are_ignored() {
    let good = Elf32::good().parse().expect("good");
    // PT_DYNAMIC, PT_SHLIB, PT_PHDR, PT_TLS, and GNU's for frames, stack, relocations and properties.
    for kind in [2, 5, 6, 7, 0x6474_E550, 0x6474_E551, 0x6474_E552, 0x6474_E553] {
        let mut elf = Elf32::good();
        elf.headers.push([kind, u32::MAX - 3, u32::MAX, u32::MAX, u32::MAX, 7]);
        assert_eq!(elf.parse().expect("good"), good, "{kind:#x}");
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
        assert!(problem(|elf| elf.entry = entry).contains("in none of its segments"), "{entry:#x}");
    }
}

#[test]
fn code_may_lie_in_a_segment_that_is_not_marked_as_code() {
    let mut elf = Elf32::good();
    for flags in [4, 6, 0] {
        elf.headers[0][5] = flags;
        assert_eq!(elf.parse().expect("good").start, Start::Boot { mode: CpuMode::Protected, entry: 0x7000 });
    }
}

/// An ELF32 file of the good image's code, without a note, whose segments have these physical and virtual
/// addresses.
fn linked(entry: u32, addresses: &[(u32, u32)]) -> Result<Contents, Problem> {
    let mut elf = Elf32::good();
    elf.entry = entry;
    elf.headers = addresses.iter().map(|&(physical, _)| [1, CODE_AT, physical, 4, 0x100, PF_RX]).collect();
    let mut file = elf.bytes();
    for (index, (_, runs_at)) in addresses.iter().enumerate() {
        let at = 52 + 32 * index + 8;
        file[at..at + 4].copy_from_slice(&runs_at.to_le_bytes());
    }
    parse(&file, Request { mode: Some(CpuMode::Protected), ..Request::default() })
}

#[test]
fn a_relocated_kernel_begins_at_its_physical_entry() {
    let high = 0xC000_0000;
    for (entry, addresses) in [
        (0x10_0000, &[(0x10_0000, high + 0x10_0000)][..]),
        (high + 0x10_0000, &[(0x10_0000, high + 0x10_0000)]),
        // With a segment at 0, which the others' distance shows to be right.
        (high + 0x10_0000, &[(0, high), (0x10_0000, high + 0x10_0000)]),
    ] {
        let start = Start::Direct { mode: CpuMode::Protected, entry: 0x10_0000 };
        assert_eq!(linked(entry, addresses).expect("good").start, start);
    }
}

#[test]
fn segments_without_a_physical_address_are_refused_with_advice() {
    for addresses in
        [&[(0, 0x10_0000)][..], &[(0, 0x10_0000), (0, 0x20_0000)], &[(0, 0x10_0000), (0x20_0000, 0x20_0000)]]
    {
        let text = linked(0x10_0000, addresses).expect_err("refused").to_string();
        assert!(text.contains("segment 0, linked to run at 0x100000, has the physical address 0"), "{text}");
        assert!(text.contains("AT(ADDR(.text))"), "{text}");
    }
    let text = linked(0xC010_0000, &[(0xC010_0000, 0xC010_0000)]).expect_err("refused").to_string();
    assert!(
        text.contains("not within 0x0 to 0xc0000000") && text.contains("AT(ADDR(.text) - OFFSET)"),
        "{text}"
    );
    assert!(linked(0, &[(0, 0)]).is_ok(), "it is linked to 0");
}

#[test]
fn the_note_must_be_there_and_whole() {
    assert_eq!(problem(|elf| elf.headers.truncate(1)), Problem::NoNote.to_string());
    assert_eq!(problem(|elf| elf.note[12] = b'X'), Problem::NoNote.to_string());
    assert_eq!(problem(|elf| elf.note[8] = 2), Problem::NoNote.to_string());
    assert_eq!(problem(|elf| elf.note[4] = 100), Problem::BadNote.to_string());
    assert_eq!(problem(|elf| elf.note[4] = 8), Problem::BadNote.to_string());
}

#[test]
fn other_notes_are_skipped() {
    let good = Elf32::good().parse().expect("good");
    let note = |size: u32, kind: u32, name: &[u8], rest: &[u8]| {
        let name_size = u32::try_from(name.len()).expect("short");
        let words = [name_size, size, kind].map(u32::to_le_bytes).concat();
        [&words, name, &vec![0; name.len().next_multiple_of(4) - name.len()], rest].concat()
    };
    let others = [
        Vec::new(),
        vec![0; 64],
        vec![0xFF; 7],
        note(1000, 18, b"Xen\0", &[]),
        note(u32::MAX, 3, b"GNU\0", &[7; 20]),
        [note(4, 18, b"Xen\0", &[0, 0, 16, 0]), vec![0; 36]].concat(),
        note(4, 1, b"GuestlabX", &[1; 4]),
        note(4, 3, b"Guestlab\0", &[1; 4]),
        note(4, 1, b"Guestlab", &[1; 4]),
    ];
    for other in &others {
        let mut elf = Elf32::good();
        // Before ours, in the same area, behind which there is more that is none of ours.
        elf.note = [&other[..other.len() & !3], &elf.note, &[0xAA; 5]].concat();
        let len = u32::try_from(elf.note.len()).expect("short");
        elf.headers[1] = [4, NOTE_AT, 0, len, len, 4];
        assert_eq!(elf.parse().expect("good"), good, "{other:x?}");
    }
    // In areas of their own, which may lie anywhere.
    for (offset, len) in [(0, 0), (1, 51), (NOTE_AT + 2, 30), (u32::MAX, 4), (0x303, u32::MAX), (0x304, 1)] {
        let mut elf = Elf32::good();
        elf.headers.insert(0, [4, offset, 0, len, len, 4]);
        assert_eq!(elf.parse().expect("good"), good, "{offset:#x}");
    }
}

#[test]
fn notes_may_have_any_alignment() {
    for align in [0, 1, 3, 8, 64, 4096, u32::MAX] {
        let mut file = Elf32::good().bytes();
        let at = 52 + 32 + 28;
        assert_eq!(file[at..at + 4], 4_u32.to_le_bytes(), "p_align");
        file[at..at + 4].copy_from_slice(&align.to_le_bytes());
        assert_eq!(parse(&file, Request::default()).expect("good"), Elf32::good().parse().expect("good"));
    }
}

#[test]
fn notes_are_not_read_without_end() {
    let mut elf = Elf32::good();
    let area = u32::try_from(note::MAX_SIZE / 2).expect("small");
    let headers = [[4, NOTE_AT, 0, area, area, 4], [4, NOTE_AT + 4, 0, area, area, 4]];
    elf.headers.extend(headers);
    let file = [&elf.bytes()[..], &vec![0; area as usize]].concat();
    let text = parse(&file, Request::default()).expect_err("too many").to_string();
    assert!(text.starts_with("it has more than 16 MiB of notes"), "{text}");
    // Without ours they are others' business.
    elf.note[12] = b'X';
    let file = [&elf.bytes()[..], &vec![0; area as usize]].concat();
    let request = Request { mode: Some(CpuMode::Protected), ..Request::default() };
    assert!(parse(&file, request).is_ok());
}

#[test]
fn foreign_images_may_lack_sections() {
    let parse = |elf: &Elf32| {
        let mut file = elf.bytes();
        file[0x20..0x24].copy_from_slice(&0xFFFF_0000_u32.to_le_bytes());
        file[0x30..0x32].copy_from_slice(&9_u16.to_le_bytes());
        parse(&file, Request { mode: Some(CpuMode::Protected), ..Request::default() })
    };
    let mut elf = Elf32::good();
    assert!(matches!(parse(&elf), Err(Problem::Damaged(_))), "ours was cut off");
    elf.headers.truncate(1);
    assert!(parse(&elf).is_ok());
}

#[test]
fn segments_may_name_the_same_bytes_without_taking_memory() {
    let mut elf = Elf32::good();
    elf.headers = (0..12).map(|index| [1, CODE_AT, 0x7000 + 0x100 * index, 4, 0x100, PF_RX]).collect();
    let request = Request { mode: Some(CpuMode::Protected), ..Request::default() };
    let contents = parse(&elf.bytes(), request).expect("good");
    assert!(contents.segments.iter().all(|segment| segment.bytes == (0x300..0x304)));
}

#[test]
fn an_image_of_another_abi_is_refused_with_both_versions() {
    let descriptor = Descriptor { abi_major: 2, abi_minor: 3, ..Descriptor::new(CpuMode::Protected) };
    let text = Elf32::with_descriptor(descriptor).parse().expect_err("ABI 2.3").to_string();
    assert!(text.starts_with("built for guest ABI 2.3, and this host has ABI 1.1"), "{text}");
}

#[test]
fn a_note_with_unknown_requests_is_refused() {
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
fn a_multiboot_kernel_may_be_in_a_file_of_either_class() {
    let header = [0x1BAD_B002_u32, 3, 0_u32.wrapping_sub(0x1BAD_B005)].map(u32::to_le_bytes).concat();
    let mut elf = Elf32::good();
    elf.headers.truncate(1);
    elf.note = header;
    let thirty_two = elf.bytes();
    let sixty_four = class_64(&thirty_two);
    let request = |mode| Request { mode, ..Request::default() };
    for file in [&thirty_two, &sixty_four] {
        for mode in [None, Some(CpuMode::Protected)] {
            assert_eq!(parse(file, request(mode)).expect("good").start, Start::Multiboot { entry: 0x7000 });
        }
        for mode in [CpuMode::Long, CpuMode::Real] {
            assert!(matches!(parse(file, request(Some(mode))), Err(Problem::MultibootMode(_))));
        }
    }
    // With a header that is not found it is still 32-bit code, which can be started without one.
    let mut odd = sixty_four.clone();
    odd.copy_within(NOTE_AT as usize..NOTE_AT as usize + 12, NOTE_AT as usize + 1);
    let text = parse(&odd, request(None)).expect_err("no header").to_string();
    assert!(text.contains("its header, at 0x201 in the file, is not at a multiple of 4"), "{text}");
    assert!(matches!(parse(&odd, request(Some(CpuMode::Long))), Err(Problem::MultibootMode(_))));
    let start = Start::Direct { mode: CpuMode::Protected, entry: 0x7000 };
    assert_eq!(parse(&odd, request(Some(CpuMode::Protected))).expect("good").start, start);
    // Without any it is not known to be 32-bit code.
    odd[NOTE_AT as usize..][..16].fill(0);
    let text = parse(&odd, request(Some(CpuMode::Real))).expect_err("64-bit").to_string();
    assert!(text.starts_with("a 64-bit ELF file for real mode") && text.contains("as --32"), "{text}");
}

/// A 32-bit file of one segment as a 64-bit file.
fn class_64(file: &[u8]) -> Vec<u8> {
    let word = |at: usize| u64::from(u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes")));
    let mut header = [&file[..4], &[2], &file[5..18], &62_u16.to_le_bytes(), &file[20..24]].concat();
    header.extend([word(24), 64, 0].iter().flat_map(|value| value.to_le_bytes()));
    header.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    header.extend(&file[52..56]);
    header.extend(&file[52 + 24..52 + 28]);
    let values = [4, 8, 12, 16, 20, 28].map(|at| word(52 + at));
    header.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    [&header, &file[header.len()..]].concat()
}

#[test]
fn an_image_without_a_note_takes_an_entry_but_not_a_load_address() {
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
