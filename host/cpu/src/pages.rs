//! The mapped pages of a whole address space, found by the page walk.

use crate::{
    memory::GuestMemory,
    state::CpuState,
    walk::{Hardware, Paging, Unmapped, Walk},
};

/// The most walks: enough for 4 GiB in pages of 4 KiB, with their neighbours that are not there.
const MOST_WALKS: u32 = 1 << 22;

/// A mapped page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The linear address of its first byte.
    pub linear: u64,
    /// The guest-physical address of its first byte.
    pub physical: u64,
    /// Its size in bytes. Without paging there is one page of 4 GiB.
    pub size: u64,
}

/// The mapped pages of an address space, by linear address.
///
/// A guest's tables may map the same memory without end, so that the number of walks has a limit.
pub struct Pages<'a> {
    state: &'a CpuState,
    memory: &'a dyn GuestMemory,
    paging: Paging,
    /// The linear address of the next walk.
    next: Option<u64>,
    /// The number of walks that may still be made.
    left: u32,
}

impl<'a> Pages<'a> {
    /// Returns the pages that a CPU in this state has.
    pub fn of(state: &'a CpuState, memory: &'a dyn GuestMemory) -> Self {
        Self { state, memory, paging: Paging::of(state), next: Some(0), left: MOST_WALKS }
    }

    /// Returns true if there may be more pages, but the limit of walks was reached.
    pub fn is_cut_off(&self) -> bool {
        self.next.is_some() && self.left == 0
    }
}

impl Iterator for Pages<'_> {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        loop {
            let linear = self.next?;
            self.left = self.left.checked_sub(1)?;
            let mut walk = Walk::new(linear);
            let end = walk.end(Hardware::default(), self.state, self.memory);
            let size = match &end {
                Ok(mapping) if mapping.page_size > 0 => mapping.page_size,
                // The entry at which a walk fails is among the entries if it was present.
                Err(Unmapped::Reserved) => self.paging.span(walk.depth().saturating_sub(1)),
                Ok(_) | Err(_) => self.paging.span(walk.depth()),
            };
            self.next = self.paging.after(linear, size);
            if let Ok(mapping) = end {
                return Some(Page { linear, physical: mapping.physical, size });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use guest_abi::mode::CpuMode;

    use super::*;
    use crate::memory::tests::Ram;

    fn pages(mode: CpuMode, entries: &[(usize, u64)]) -> Vec<(u64, u64, u64)> {
        let mut bytes = vec![0; 0x8000];
        for &(address, value) in entries {
            bytes[address..address + 8].copy_from_slice(&value.to_le_bytes());
        }
        let state = CpuState::flat(mode, 0, 0, 0x1000);
        let ram = Ram { start: 0, bytes };
        Pages::of(&state, &ram).map(|page| (page.linear, page.physical, page.size)).collect()
    }

    #[test]
    fn without_paging_there_is_one_page() {
        assert_eq!(pages(CpuMode::Protected, &[]), [(0, 0, 1 << 32)]);
        assert_eq!(pages(CpuMode::Real, &[]), [(0, 0, 1 << 32)]);
    }

    #[test]
    fn pages_of_each_size_are_found_in_both_halves() {
        let entries = [
            (0x1000, 0x2003),
            (0x1FF8, 0x2003),
            (0x2008, 0x4000_0083),
            (0x2000, 0x3003),
            (0x3FF8, 0x20_0083),
            (0x3000, 0x4003),
            (0x4010, 0x7003),
            // A reserved bit: no page.
            (0x4018, 1 << 63 | 0x7003),
        ];
        let low = [(0x2000, 0x7000, 0x1000), (511 << 21, 0x20_0000, 0x20_0000), (1 << 30, 1 << 30, 1 << 30)];
        let high = low.map(|(linear, physical, size)| (!0 << 39 | linear, physical, size));
        assert_eq!(pages(CpuMode::Long, &entries), [low, high].concat());
    }

    #[test]
    fn tables_of_32_bits_end_at_4_gib() {
        let entries = [(0x1FF8, 0xC0_0083 << 32 | 0x2003), (0x2FF8, 0x5003 << 32)];
        let expected = [(0xFFBF_F000, 0x5000, 0x1000), (0xFFC0_0000, 0xC0_0000, 0x40_0000)];
        assert_eq!(pages(CpuMode::Paged, &entries), expected);
    }

    #[test]
    fn tables_that_lead_to_themselves_come_to_an_end() {
        let mut bytes = vec![0; 0x2000];
        bytes[0x1000..]
            .chunks_exact_mut(8)
            .for_each(|entry| entry.copy_from_slice(&0x1003_u64.to_le_bytes()));
        let (state, ram) = (CpuState::flat(CpuMode::Long, 0, 0, 0x1000), Ram { start: 0, bytes });
        let mut pages = Pages { left: 1000, ..Pages::of(&state, &ram) };
        assert_eq!(pages.by_ref().count(), 1000);
        assert!(pages.is_cut_off());
    }
}
