//! Multiboot 1 kernels (Multiboot Specification version 0.6.96, 3.1 "OS image format"): the header that marks a file as
//! such a kernel.

use guest_abi::{layout, mode::CpuMode};
use memchr::memmem;

use super::{
    contents::{Contents, Request, Segment, Start},
    error::Problem,
};

/// The header lies within the first 8192 bytes of the file, aligned to 4.
const SEARCH: usize = 8192;

const MAGIC: u32 = 0x1BAD_B002;

/// The magic number of Multiboot 2.
const MAGIC_2: u32 = 0xE852_50D6;

/// The flags that this host satisfies. It loads no modules, so their alignment does not matter. Memory information is
/// always there. A video mode is only a wish, because the information says which mode there is.
const KNOWN: u32 = 0b111;
/// The bits of the flags that a boot loader must know or refuse; the others are only wishes.
const REQUIRED: u32 = 0xFFFF;
/// The header contains the kernel's addresses; they override those of an ELF file.
const ADDRESSES: u32 = 1 << 16;

/// A file's Multiboot header, or its faults.
pub(super) enum Found {
    /// A header that boot loaders find.
    Header(Header),
    /// A header that they do not find: its faults, and true if it certainly is a header.
    Fault(String, bool),
    /// No header.
    Nothing,
}

/// A Multiboot header.
pub(super) struct Header {
    /// The offset in the file.
    at: usize,
    flags: u32,
}

/// A place where the magic number stands.
struct Candidate {
    at: usize,
    /// Three faults: the checksum is wrong; the header is too far behind in the file; it is not aligned.
    faults: [bool; 3],
}

impl Candidate {
    fn at(file: &[u8], at: usize) -> Self {
        let sum = (0..3).map(|index| word(file, at + 4 * index).unwrap_or(1)).fold(0, u32::wrapping_add);
        Self { at, faults: [sum != 0, at + 12 > SEARCH, !at.is_multiple_of(4)] }
    }

    /// Returns the faults in words, with advice.
    fn faults(&self, file: &[u8]) -> String {
        let right = 0_u32.wrapping_sub(MAGIC).wrapping_sub(word(file, self.at + 4).unwrap_or(0));
        let checksum =
            format!("has the checksum {:#x}, not {right:#x}", word(file, self.at + 8).unwrap_or(0));
        let late = format!("is not within the first {SEARCH} bytes of the file");
        let all = [
            (checksum.as_str(), "write -(magic + flags) there"),
            (&late, "put it first in the linker script, and link with `-z max-page-size=4096`"),
            ("is not at a multiple of 4", "align its section to 4"),
        ];
        let (faults, mends): (Vec<_>, Vec<_>) =
            all.into_iter().zip(self.faults).filter(|(_, fault)| *fault).map(|(texts, _)| texts).unzip();
        format!("{}: {}", faults.join(", and "), mends.join("; "))
    }
}

/// Looks for a file's header. A magic number without its checksum does not count.
pub(super) fn find(file: &[u8]) -> Found {
    let magic = MAGIC.to_le_bytes();
    let candidates = memmem::find_iter(file, &magic).map(|at| Candidate::at(file, at));
    let best = candidates.min_by_key(|it| (it.faults[0], it.faults.iter().filter(|fault| **fault).count()));
    let second = || memmem::find(file, &MAGIC_2.to_le_bytes());
    match best {
        Some(Candidate { at, faults: [false, false, false] }) => {
            Found::Header(Header { at, flags: word(file, at + 4).unwrap_or(0) })
        }
        Some(best) => {
            let (at, faults) = (best.at, best.faults(file));
            let second = second().map_or("", |_| "; its other header is Multiboot 2's, which this host does not read");
            let text = format!("its header, at {at:#x} in the file, {faults}{second}");
            Found::Fault(text, !best.faults[0])
        }
        None => second().map_or(Found::Nothing, |at| {
            let sum = (0..4).map(|index| word(file, at + 4 * index).unwrap_or(1)).fold(0, u32::wrapping_add);
            let text = format!(
                "its only header, at {at:#x} in the file, is Multiboot 2's, and this host reads those of Multiboot 1: give it one of those too"
            );
            Found::Fault(text, sum == 0)
        }),
    }
}

impl Found {
    /// Returns true if the file is certainly a Multiboot kernel, so that it begins with 32-bit code.
    pub(super) fn is_certain(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Fault(_, true))
    }

    /// Refuses to start a Multiboot kernel in a mode that its first instructions are not for. With `--entry`, the kernel
    /// may start at other code.
    pub(super) fn check_mode(&self, request: Request) -> Result<(), Problem> {
        match (request.mode, request.entry) {
            (Some(mode @ (CpuMode::Real | CpuMode::Long)), None) if self.is_certain() => {
                Err(Problem::MultibootMode(mode))
            }
            _ => Ok(()),
        }
    }

    /// Returns the header, unless the user requested another start.
    pub(super) fn wanted(&self, request: Request) -> Option<&Header> {
        match self {
            Self::Header(header) if matches!(request.mode, None | Some(CpuMode::Protected)) => Some(header),
            _ => None,
        }
    }
}

impl Header {
    /// Checks that this host has the features that the header requires.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let unknown = self.flags & REQUIRED & !KNOWN;
        let bits: Vec<String> =
            (0..16).filter(|bit| unknown >> bit & 1 == 1).map(|bit: u32| bit.to_string()).collect();
        match bits.is_empty() {
            true => Ok(()),
            false => Err(Problem::MultibootFeature(bits.join(", "))),
        }
    }

    /// Returns true if the header contains the kernel's addresses.
    pub(super) fn has_addresses(&self) -> bool {
        self.flags & ADDRESSES != 0
    }

    /// Returns the contents of a kernel at the addresses of its header.
    pub(super) fn contents(&self, file: &[u8], request: Request) -> Result<Contents, Problem> {
        let field = |index: usize| word(file, self.at + 4 * index).map(|field| field as usize);
        let fields = (field(3), field(4), field(5), field(6), field(7));
        let (Some(header), Some(load), Some(load_end), Some(bss_end), Some(entry)) = fields else {
            return Err(Problem::MultibootAddresses("they are not all in the file".into()));
        };
        let wrong = |text: String| Err(Problem::MultibootAddresses(text));
        // The header is at `at` in the file and at `header` in memory. The bytes before it give the start.
        let Some(from) = header.checked_sub(load).and_then(|before| self.at.checked_sub(before)) else {
            return wrong(format!(
                "load_addr {load:#x} and header_addr {header:#x} put the header elsewhere than at {:#x} in the file",
                self.at
            ));
        };
        let len = match load_end {
            0 => file.len() - from,
            end if end < load => {
                return wrong(format!("load_end_addr {end:#x} is below load_addr {load:#x}"));
            }
            end => end - load,
        };
        if from + len > file.len() {
            let len_of_file = file.len();
            return wrong(format!(
                "{len} bytes from {from:#x} on are to be loaded, and the file has {len_of_file}"
            ));
        }
        let size = len.max(bss_end.saturating_sub(load));
        let (start, end) = (load as u64, (load + size) as u64);
        let entry = request.entry.map_or(entry, |entry| entry as usize);
        match (u32::try_from(load), u32::try_from(size), u32::try_from(entry)) {
            _ if end > layout::MAX_MEMORY.into() => {
                Err(Problem::OutOfRange { from: 0, index: 0, start, end, mend: "link it lower" })
            }
            (Ok(address), Ok(size), Ok(first)) if (load..load + len).contains(&entry) => {
                let segments = vec![Segment { address, size, bytes: from..from + len }];
                Ok(Contents { start: Start::Multiboot { entry: first }, segments, tests: Vec::new() })
            }
            _ => Err(Problem::EntryOutside { entry: entry as u64 }),
        }
    }
}

fn word(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u32 = 0x10_0000;

    fn sum(flags: u32) -> u32 {
        0_u32.wrapping_sub(MAGIC).wrapping_sub(flags)
    }

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn file(at: usize, flags: u32, checksum: u32) -> Vec<u8> {
        [vec![0; at], bytes(&[MAGIC, flags, checksum])].concat()
    }

    fn is_header(file: &[u8]) -> bool {
        matches!(find(file), Found::Header(_))
    }

    /// Returns the faults of the header.
    fn fault(file: &[u8]) -> String {
        match find(file) {
            Found::Fault(text, _) => text,
            _ => panic!("a header that is almost one"),
        }
    }

    /// The contents of a file whose header has these addresses, at `at`, with 4 bytes of code behind it.
    fn contents(at: usize, addresses: [u32; 5]) -> Result<Contents, Problem> {
        let mut file = file(at, ADDRESSES, sum(ADDRESSES));
        file.extend(bytes(&addresses));
        file.extend([0xF4; 4]);
        match find(&file) {
            Found::Header(header) => header.contents(&file, Request::default()),
            _ => panic!("a header"),
        }
    }

    #[test]
    fn a_header_is_found_where_the_specification_allows_it() {
        for at in [0, 4096, SEARCH - 12] {
            assert!(is_header(&file(at, 3, sum(3))), "{at}");
        }
        assert!(matches!(find(b""), Found::Nothing));
        let stray = [file(0, 3, 0), file(0, 3, sum(3))].concat();
        assert!(is_header(&stray), "a stray magic number before a header");
    }

    #[test]
    fn a_header_with_a_fault_is_refused_with_the_reason() {
        let (late, odd) = ("is not within the first 8192 bytes", "is not at a multiple of 4");
        for (at, checksum, sentences) in [
            (2, sum(3), &[odd][..]),
            (SEARCH - 8, sum(3), &[late]),
            (SEARCH + 1, sum(3), &[late, odd]),
            (0, 0, &["has the checksum 0x0, not 0xe4524ffb"]),
            (SEARCH + 3, 7, &["has the checksum 0x7, not 0xe4524ffb", late, odd]),
        ] {
            let text = fault(&file(at, 3, checksum));
            assert!(text.starts_with(&format!("its header, at {at:#x} in the file, ")), "{text}");
            for sentence in [late, odd, "has the checksum"] {
                let expected = sentences.iter().any(|it| it.contains(sentence));
                assert_eq!(text.contains(sentence), expected, "{text}");
            }
            assert!(sentences.iter().all(|sentence| text.contains(sentence)), "{text}");
        }
        let second = bytes(&[MAGIC_2, 0, 16, 0_u32.wrapping_sub(MAGIC_2 + 16)]);
        assert!(fault(&second).contains("its only header, at 0x0 in the file, is Multiboot 2's"));
        let both = fault(&[file(2, 3, sum(3)), second].concat());
        assert!(both.contains(odd) && both.contains("its other header is Multiboot 2's"), "{both}");
    }

    #[test]
    fn unknown_required_features_are_refused() {
        let check = |flags| match find(&file(0, flags, sum(flags))) {
            Found::Header(header) => header.check(),
            _ => panic!("a header"),
        };
        for flags in [0, 1, 2, 3, 4, 7, ADDRESSES, 1 << 20] {
            assert!(check(flags).is_ok(), "{flags:#x}");
        }
        let text = check(0x8028).expect_err("bits of a later specification").to_string();
        assert!(text.contains("feature bits 3, 5, 15"), "{text}");
    }

    #[test]
    fn the_headers_addresses_choose_segment_and_entry() {
        let entry = BASE + 32;
        for (at, addresses, segment) in [
            (0, [BASE, BASE, 0, 0, entry], (BASE, 36, 0..36)),
            (64, [BASE + 64, BASE, 0, 0, BASE + 96], (BASE, 100, 0..100)),
            (64, [BASE, BASE, BASE + 36, BASE + 0x100, entry], (BASE, 0x100, 64..100)),
            (0, [BASE, BASE, BASE + 34, 0, entry], (BASE, 34, 0..34)),
            (0, [BASE, BASE, BASE + 36, BASE + 1, entry], (BASE, 36, 0..36)),
        ] {
            let Contents { start, segments, .. } = contents(at, addresses).expect("good addresses");
            assert_eq!(start, Start::Multiboot { entry: addresses[4] });
            let (address, size, bytes) = segment;
            assert_eq!(segments, [Segment { address, size, bytes }], "{addresses:x?}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_are_refused() {
        let text = |addresses| contents(0, addresses).expect_err("refused").to_string();
        for (addresses, sentence) in [
            ([BASE - 1, BASE, 0, 0, BASE], "put the header elsewhere than at 0x0"),
            ([BASE + 4, BASE, 0, 0, BASE], "put the header elsewhere than at 0x0"),
            ([BASE, BASE, BASE - 1, 0, BASE], "load_end_addr 0xfffff is below load_addr 0x100000"),
            ([BASE, BASE, BASE + 37, 0, BASE], "37 bytes from 0x0 on are to be loaded, and the file has 36"),
            ([BASE, BASE, 0, 0, BASE + 36], "its entry 0x100024 is in none of its segments"),
            ([BASE, BASE, 0, 0, 0], "its entry 0x0 is in none of its segments"),
            ([BASE, BASE, 0, u32::MAX, BASE], "is not within 0x0 to 0xc0000000"),
            ([u32::MAX, u32::MAX, 0, 0, u32::MAX], "is not within 0x0 to 0xc0000000"),
        ] {
            assert!(text(addresses).contains(sentence), "{addresses:x?}: {}", text(addresses));
        }
        let mut short = file(0, ADDRESSES, sum(ADDRESSES));
        short.extend([0; 8]);
        let Found::Header(header) = find(&short) else { panic!("a header") };
        assert!(matches!(header.contents(&short, Request::default()), Err(Problem::MultibootAddresses(_))));
    }

    #[test]
    fn a_kernel_is_not_started_in_a_mode_that_its_code_is_not_for() {
        let request = |mode, entry| Request { mode, entry, ..Request::default() };
        let (good, stray) = (file(0, 3, sum(3)), file(0, 3, 0));
        for mode in [CpuMode::Real, CpuMode::Long] {
            assert!(find(&good).check_mode(request(Some(mode), None)).is_err());
            assert!(find(&good).check_mode(request(Some(mode), Some(BASE))).is_ok());
            assert!(find(&stray).check_mode(request(Some(mode), None)).is_ok());
        }
        for mode in [None, Some(CpuMode::Protected), Some(CpuMode::Paged)] {
            assert!(find(&good).check_mode(request(mode, None)).is_ok());
        }
        assert!(find(&good).wanted(request(Some(CpuMode::Paged), None)).is_none());
    }
}
