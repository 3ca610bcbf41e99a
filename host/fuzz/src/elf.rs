//! ELF files put together from parts that a fuzzer chooses, sound in all else.

/// A program header: type, address, size in memory, flags, and the bytes in the file.
pub struct Segment<'a> {
    /// `PT_LOAD` is 1, `PT_NOTE` 4.
    pub kind: u32,
    /// Physical and virtual.
    pub address: u32,
    /// Executable is 1, writable 2, readable 4.
    pub flags: u32,
    /// The bytes in the file.
    pub bytes: &'a [u8],
}

/// A section that is not loaded.
pub struct Section<'a> {
    /// Its name.
    pub name: &'static str,
    /// `SHT_PROGBITS` is 1, `SHT_SYMTAB` 2, `SHT_STRTAB` 3.
    pub kind: u32,
    /// The index of another section that it needs, from 1.
    pub link: u32,
    /// Its content.
    pub bytes: &'a [u8],
}

const FILE_HEADER: u32 = 52;
const PROGRAM_HEADER: u32 = 32;
const SECTION_HEADER: u32 = 40;
const SYMBOL: u32 = 16;

/// A 32-bit ELF file for x86 (System V ABI, "Object Files"). The sections are numbered from 1; the last,
/// which the file itself adds, has their names.
pub fn file(entry: u32, segments: &[Segment<'_>], sections: &[Section<'_>]) -> Vec<u8> {
    let mut names = vec![0];
    let mut place = |name: &str| {
        let at = len(&names);
        names.extend(name.as_bytes());
        names.push(0);
        at
    };
    let named: Vec<u32> = sections.iter().map(|section| place(section.name)).collect();
    let names_name = place(".shstrtab");

    let count = |len: usize| u32::try_from(len).expect("few");
    let (loads, rest) = (count(segments.len()), count(sections.len()) + 2);
    let section_headers = FILE_HEADER + PROGRAM_HEADER * loads;
    let mut at = section_headers + SECTION_HEADER * rest;
    let mut headers = Vec::new();
    let mut body: Vec<u8> = Vec::new();
    let mut add = |bytes: &[u8]| {
        let here = at;
        body.extend(bytes);
        at += len(bytes);
        here
    };
    for Segment { kind, address, flags, bytes } in segments {
        let (offset, size) = (add(bytes), len(bytes));
        words(&mut headers, &[*kind, offset, *address, *address, size, size, *flags, 1]);
    }
    words(&mut headers, &[0; 10]);
    for (Section { kind, link, bytes, .. }, name) in sections.iter().zip(named) {
        let (offset, size) = (add(bytes), len(bytes));
        let entry = if *kind == 2 { SYMBOL } else { 0 };
        words(&mut headers, &[name, *kind, 0, 0, offset, size, *link, 0, 1, entry]);
    }
    let (offset, size) = (add(&names), len(&names));
    words(&mut headers, &[names_name, 3, 0, 0, offset, size, 0, 0, 1, 0]);

    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0".to_vec();
    words(&mut file, &[1, entry, FILE_HEADER, section_headers, 0]);
    for half in [FILE_HEADER, PROGRAM_HEADER, loads, SECTION_HEADER, rest, rest - 1] {
        file.extend(&half.to_le_bytes()[..2]);
    }
    file.extend(headers);
    file.extend(body);
    file
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("below 4 GiB")
}

fn words(to: &mut Vec<u8>, words: &[u32]) {
    to.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}
