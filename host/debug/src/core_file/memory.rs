//! The memory of a core file: the guest's, at the linear addresses at which gdb looks for it.

use std::ops::Range;

use guest_abi::layout::PAGE_SIZE;
use guestlab_cpu::{CpuState, GuestMemory, MemoryPlan, Page, Pages};

const PAGE: u64 = PAGE_SIZE as u64;

/// The bytes that are read at once.
const CHUNK_SIZE: usize = 16 * PAGE_SIZE as usize;
const CHUNK: u64 = CHUNK_SIZE as u64;

const ZEROS: [u8; PAGE_SIZE as usize] = [0; PAGE_SIZE as usize];

/// The bytes of zeros from which on it is worth to begin another part of the file.
const GAP: u64 = CHUNK;

/// The most parts: the header of an ELF file counts them in 16 bits, and some values have another meaning.
const MOST_PARTS: usize = 0xFF00;

/// The most bytes of address space: a guest has 3 GiB at most, and may have mapped some of it more than once.
const MOST_BYTES: u64 = 4 << 30;

/// Memory at a linear address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) linear: u64,
    pub(crate) physical: u64,
    pub(crate) len: u64,
}

/// The pieces of an address space, by linear address, and true if there are more than a file may have.
pub(crate) fn pieces(
    state: Option<&CpuState>,
    memory: &dyn GuestMemory,
    plan: &MemoryPlan,
    maps_itself: bool,
) -> (Vec<Piece>, bool) {
    let itself = Page { linear: 0, physical: 0, size: 1 << 32 };
    let Some(state) = state.filter(|state| state.has_paging()) else {
        return (in_memory(itself, plan).collect(), false);
    };
    let mut pages = Pages::of(state, memory);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut left = MOST_BYTES;
    for piece in pages.by_ref().flat_map(|page| in_memory(page, plan)) {
        if piece.len > left {
            return (pieces, true);
        }
        left -= piece.len;
        add(&mut pieces, piece);
    }
    let is_cut_off = pages.is_cut_off();
    match maps_itself {
        true => (with_the_rest(&pieces, in_memory(itself, plan)), is_cut_off),
        false => (pieces, is_cut_off),
    }
}

/// Returns the parts of a page that are memory.
fn in_memory(page: Page, plan: &MemoryPlan) -> impl Iterator<Item = Piece> {
    plan.ranges.iter().filter_map(move |range| {
        let start = range.start.max(page.physical);
        let end = range.end.min(page.physical.saturating_add(page.size));
        let linear = page.linear.wrapping_add(start.wrapping_sub(page.physical));
        (start < end).then(|| Piece { linear, physical: start, len: end - start })
    })
}

/// Adds a piece behind the others, or to the last one.
fn add(pieces: &mut Vec<Piece>, piece: Piece) {
    match pieces.last_mut() {
        Some(last)
            if last.linear.checked_add(last.len) == Some(piece.linear)
                && last.physical + last.len == piece.physical =>
        {
            last.len += piece.len;
        }
        _ => pieces.push(piece),
    }
}

/// Returns the pieces with those parts of others at whose addresses there is nothing.
fn with_the_rest(pieces: &[Piece], others: impl Iterator<Item = Piece>) -> Vec<Piece> {
    let mut all = Vec::new();
    let mut mapped = pieces.iter().copied().peekable();
    for other in others {
        let (mut at, end) = (other.linear, other.linear + other.len);
        let upto =
            |at, end| Piece { linear: at, physical: other.physical + (at - other.linear), len: end - at };
        while at < end {
            match mapped.peek().copied().filter(|piece| piece.linear < end) {
                Some(piece) if piece.linear > at => {
                    add(&mut all, upto(at, piece.linear));
                    at = piece.linear;
                }
                Some(piece) => {
                    add(&mut all, piece);
                    at = at.max(piece.linear.saturating_add(piece.len));
                    mapped.next();
                }
                None => {
                    add(&mut all, upto(at, end));
                    at = end;
                }
            }
        }
    }
    mapped.for_each(|piece| add(&mut all, piece));
    all
}

/// A part of a core file: addresses that follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) linear: u64,
    /// The size in memory, in bytes.
    pub(super) size: u64,
    /// The size in the file, in bytes. What is behind it is zero.
    pub(super) file_size: u64,
    /// The guest-physical addresses of the memory.
    physical: Vec<Range<u64>>,
}

impl Part {
    fn add(&mut self, physical: u64, is_kept: bool) {
        match self.physical.last_mut() {
            Some(last) if last.end == physical => last.end += PAGE,
            _ => self.physical.push(physical..physical + PAGE),
        }
        self.size += PAGE;
        if is_kept {
            self.file_size = self.size;
        }
    }

    /// Returns the guest-physical addresses of the bytes in the file, in pieces that are read at once.
    pub(super) fn contents(&self) -> impl Iterator<Item = Range<u64>> {
        let mut left = self.file_size;
        let chunks = self.physical.iter().flat_map(|range| {
            range.clone().step_by(CHUNK_SIZE).map(|start| start..range.end.min(start + CHUNK))
        });
        chunks.map_while(move |chunk| {
            let len = left.min(chunk.end - chunk.start);
            left -= len;
            (len > 0).then(|| chunk.start..chunk.start + len)
        })
    }
}

/// Returns the parts of a file that has these pieces, and true if there are more than a file may have.
///
/// Pages of zeros are left out, unless `is_of_image` says that the image's file has bytes there: gdb takes from the image
/// what the core file does not have.
pub(super) fn parts(
    pieces: &[Piece],
    memory: &dyn GuestMemory,
    is_of_image: impl Fn(u64) -> bool,
) -> (Vec<Part>, bool) {
    let mut parts = Vec::new();
    let mut chunk = [0; CHUNK_SIZE];
    for piece in pieces {
        for start in (0..piece.len).step_by(chunk.len()) {
            let len = usize::try_from(piece.len - start).map_or(CHUNK_SIZE, |len| len.min(CHUNK_SIZE));
            let bytes = &mut chunk[..len];
            // All of a piece is memory.
            if memory.read(piece.physical + start, bytes).is_err() {
                bytes.fill(0);
            }
            for (page, at) in bytes.chunks(ZEROS.len()).zip((start..).step_by(ZEROS.len())) {
                let linear = piece.linear + at;
                let is_kept = page != ZEROS || is_of_image(linear);
                if !add_page(&mut parts, linear, piece.physical + at, is_kept) {
                    return (parts, true);
                }
            }
        }
    }
    (parts, false)
}

/// Adds a page. Returns false if there is no place for another part.
fn add_page(parts: &mut Vec<Part>, linear: u64, physical: u64, is_kept: bool) -> bool {
    let is_near = |last: &&mut Part| {
        last.linear.checked_add(last.size) == Some(linear) && (!is_kept || last.size - last.file_size < GAP)
    };
    let has_room = parts.len() < MOST_PARTS;
    if let Some(last) = parts.last_mut().filter(is_near) {
        last.add(physical, is_kept);
        return true;
    }
    if has_room {
        let mut part = Part { linear, ..Part::default() };
        part.add(physical, is_kept);
        parts.push(part);
    }
    has_room
}

#[cfg(test)]
mod tests {
    use guest_abi::mode::CpuMode;
    use guestlab_cpu::{Cpu, Engine};
    use guestlab_soft::Soft;

    use super::*;

    fn guest(plan: &MemoryPlan) -> Box<dyn Cpu> {
        Soft.create(plan).expect("memory")
    }

    fn write(guest: &mut dyn Cpu, address: u64, bytes: &[u8]) {
        guest.memory_mut().write(address, bytes).expect("memory");
    }

    /// The address, size and size in the file of each part.
    fn sizes(parts: &[Part]) -> Vec<(u64, u64, u64)> {
        parts.iter().map(|part| (part.linear / PAGE, part.size / PAGE, part.file_size / PAGE)).collect()
    }

    #[test]
    fn zeros_are_left_out_if_they_are_many_or_at_the_end() {
        let plan = MemoryPlan { ranges: vec![PAGE..100 * PAGE, 101 * PAGE..1000 * PAGE] };
        let mut guest = guest(&plan);
        for page in [3, 10, 40, 999] {
            write(&mut *guest, page * PAGE + 5, b"x");
        }
        let (pieces, is_cut_off) = pieces(None, guest.memory(), &plan, true);
        assert_eq!(pieces.len(), 2);
        let (parts, are_cut_off) = parts(&pieces, guest.memory(), |page| page == 500 * PAGE);
        let expected = [(1, 39, 10), (40, 60, 1), (101, 399, 0), (500, 499, 1), (999, 1, 1)];
        assert_eq!(sizes(&parts), expected);
        assert!(!is_cut_off && !are_cut_off);
        let contents: Vec<_> = parts.iter().map(|part| part.contents().collect::<Vec<_>>()).collect();
        assert_eq!(contents[0], vec![PAGE..11 * PAGE; 1]);
        assert!(contents[2].is_empty());
        assert_eq!(contents[4], vec![999 * PAGE..1000 * PAGE; 1]);
    }

    #[test]
    fn memory_is_at_its_linear_addresses_and_that_without_one_at_its_own() {
        let plan = MemoryPlan::below(0x40_0000);
        let mut guest = guest(&plan);
        let state = CpuState::flat(CpuMode::Paged, 0, 0, 0x1000);
        // 4 MiB at 0x8000_0000, page 9 at page 2, and page 3 at an address without memory.
        let entries = [(0x1800, 0x83_u32), (0x1000, 0x2003), (0x2008, 0x9003), (0x200C, 0x0F00_0003)];
        for (address, entry) in entries {
            write(&mut *guest, address, &entry.to_le_bytes());
        }
        let mapped = [
            Piece { linear: 0x2000, physical: 0x9000, len: PAGE },
            Piece { linear: 0x8000_0000, physical: 0, len: 0x40_0000 },
        ];
        let of = |maps_itself| pieces(Some(&state), guest.memory(), &plan, maps_itself);
        assert_eq!(of(false), (mapped.to_vec(), false));
        let all = [
            Piece { linear: 0, physical: 0, len: 0x2000 },
            mapped[0],
            Piece { linear: 0x3000, physical: 0x3000, len: 0x40_0000 - 0x3000 },
            mapped[1],
        ];
        assert_eq!(of(true), (all.to_vec(), false));
        let (parts, _) = parts(&all, guest.memory(), |_| false);
        assert_eq!(parts[0].contents().collect::<Vec<_>>(), vec![0..0x2000; 1]);
    }

    #[test]
    fn a_guest_that_maps_its_memory_without_end_gets_no_endless_file() {
        let plan = MemoryPlan::below(0x40_0000);
        let mut guest = guest(&plan);
        for entry in 0..512 {
            write(&mut *guest, 0x1000 + 8 * entry, &0x1003_u64.to_le_bytes());
        }
        let state = CpuState::flat(CpuMode::Long, 0, 0, 0x1000);
        let (pieces, is_cut_off) = pieces(Some(&state), guest.memory(), &plan, false);
        assert!(is_cut_off);
        assert_eq!(pieces.iter().map(|piece| piece.len).sum::<u64>(), MOST_BYTES);
    }

    #[test]
    fn parts_without_end_are_cut_off() {
        let plan = MemoryPlan::below(0x2000);
        let mut guest = guest(&plan);
        write(&mut *guest, 0, b"x");
        let piece = |number: u64| Piece { linear: number * 0x2000, physical: 0, len: PAGE };
        let pieces: Vec<_> = (0..=MOST_PARTS as u64).map(piece).collect();
        let (parts, is_cut_off) = parts(&pieces, guest.memory(), |_| false);
        assert!(is_cut_off);
        assert_eq!(parts.len(), MOST_PARTS);
    }
}
