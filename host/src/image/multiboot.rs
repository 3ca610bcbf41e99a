//! Multiboot 1 kernels (Multiboot Specification version 0.6.96, 3.1 "OS image format"): the header
//! by which a kernel says that it is one.

use super::Problem;

/// The header lies within the first 8192 bytes of the file, aligned to 4.
const SEARCH: usize = 8192;

const MAGIC: u32 = 0x1BAD_B002;

/// Modules on page boundaries, which is no more than we do without modules.
const PAGE_ALIGN: u32 = 1 << 0;
/// The amount of memory in the information, which is always there.
const MEMORY_INFO: u32 = 1 << 1;
/// A video mode.
const VIDEO_MODE: u32 = 1 << 2;
/// The bits of the flags that a boot loader must know or refuse; the others are only wishes.
const REQUIRED: u32 = 0xFFFF;
/// Where the kernel goes stands in the header, as in the days of a.out.
const ADDRESSES: u32 = 1 << 16;

/// Whether the file has a Multiboot header that this host can satisfy. A magic number without the
/// checksum that belongs to it is none.
pub(super) fn check(file: &[u8]) -> Result<bool, Problem> {
    let words: Vec<u32> = file[..file.len().min(SEARCH)]
        .chunks_exact(4)
        .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    let sum = |header: &[u32]| header.iter().fold(0, |sum: u32, &word| sum.wrapping_add(word));
    let Some(header) = words.windows(3).find(|header| header[0] == MAGIC && sum(header) == 0) else {
        return Ok(false);
    };
    let flags = header[1];
    match flags & REQUIRED & !(PAGE_ALIGN | MEMORY_INFO) {
        0 if flags & ADDRESSES != 0 => Err(Problem::MultibootFeature(
            "to be loaded by the addresses in its header, which an ELF file does not need",
        )),
        0 => Ok(true),
        VIDEO_MODE => Err(Problem::MultibootFeature("a video mode")),
        _ => Err(Problem::MultibootFeature("features of a later specification")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(at: usize, flags: u32, checksum: u32) -> Vec<u8> {
        let mut file = vec![0; at];
        file.extend([MAGIC, flags, checksum].iter().flat_map(|word| word.to_le_bytes()));
        file
    }

    fn sum(flags: u32) -> u32 {
        0_u32.wrapping_sub(MAGIC).wrapping_sub(flags)
    }

    #[test]
    fn a_header_is_found_where_the_specification_allows_it() {
        for at in [0, 4096, SEARCH - 12] {
            assert!(check(&file(at, 3, sum(3))).expect("good"), "{at}");
        }
        for at in [2, SEARCH - 8, SEARCH] {
            assert!(!check(&file(at, 3, sum(3))).expect("no header"), "{at}");
        }
        assert!(!check(b"").expect("no header"));
    }

    #[test]
    fn a_header_that_cannot_be_satisfied_is_refused() {
        assert!(!check(&file(0, 3, 0)).expect("a stray magic number"));
        let stray = [file(0, 3, 0), file(0, 3, sum(3))].concat();
        assert!(check(&stray).expect("a stray magic number before a header"));
        assert!(matches!(check(&file(0, 4, sum(4))), Err(Problem::MultibootFeature("a video mode"))));
        assert!(matches!(check(&file(0, 8, sum(8))), Err(Problem::MultibootFeature(_))));
        assert!(matches!(check(&file(0, 1 << 16, sum(1 << 16))), Err(Problem::MultibootFeature(_))));
        assert!(check(&file(0, 1 << 20, sum(1 << 20))).expect("a wish"));
    }
}
