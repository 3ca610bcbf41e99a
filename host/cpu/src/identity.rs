//! Page tables that map every address to itself, for guests that start with paging on
//! (Intel SDM volume 3A, 4.3 "32-Bit Paging", 4.5 "4-Level Paging"). The entries' bits are the
//! `x86_64` crate's.

use alloc::{vec, vec::Vec};

use guest_abi::layout::PAGE_SIZE;
use x86_64::structures::paging::{PageSize, PageTableFlags, Size2MiB};

/// The size of a large page with 32-bit paging, in bytes.
pub const LARGE_PAGE_32: u32 = 4 << 20;

/// An entry that names a table of the next level.
const TABLE: u64 = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE).bits();

/// An entry that maps a large page.
const LARGE_PAGE: u64 = TABLE | PageTableFlags::HUGE_PAGE.bits();

/// The number of entries in a table of 4-level paging.
const ENTRIES: u64 = 512;

/// Returns a page directory for 32-bit paging: one 4 MiB page at 0.
pub fn one_large_page() -> Vec<u8> {
    let [a, b, c, d, ..] = LARGE_PAGE.to_le_bytes();
    let mut table = vec![a, b, c, d];
    table.resize(PAGE_SIZE as usize, 0);
    table
}

/// The number of directories that map 4 GiB.
const DIRECTORIES: u32 = 4;

/// The number of bytes of [`four_levels`].
pub const FOUR_LEVELS_SIZE: u32 = (2 + DIRECTORIES) * PAGE_SIZE;

/// Returns tables of 4-level paging for 2 MiB pages, to be put at `address`: the top table, one table of directories, and
/// the directories. They map 4 GiB, however much memory there is: an access where there is none leaves the guest,
/// and its address is known.
pub fn four_levels(address: u32) -> Vec<u8> {
    let page = u64::from(PAGE_SIZE);
    let table_at = |index: u64| u64::from(address) + index * page + TABLE;
    let directories = u64::from(DIRECTORIES);
    let mut tables = Vec::new();
    push_table(&mut tables, core::iter::once(table_at(1)));
    push_table(&mut tables, (0..directories).map(|directory| table_at(2 + directory)));
    for directory in 0..directories {
        let first = directory * ENTRIES;
        push_table(&mut tables, (first..first + ENTRIES).map(|page| page * Size2MiB::SIZE + LARGE_PAGE));
    }
    tables
}

/// Appends one table; entries that are not given are not present.
fn push_table(tables: &mut Vec<u8>, entries: impl Iterator<Item = u64>) {
    let end = tables.len() + PAGE_SIZE as usize;
    tables.extend(entries.flat_map(u64::to_le_bytes));
    tables.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use guest_abi::mode::CpuMode;

    use super::*;
    use crate::{memory::tests::Ram, state::CpuState, walk};

    #[test]
    fn four_levels_map_every_address_below_4_gib_to_itself() {
        for base in [0x1000, 0x20_1000, 0xC000_1000_u32] {
            let tables = Ram { start: base.into(), bytes: four_levels(base) };
            assert_eq!(tables.bytes.len(), FOUR_LEVELS_SIZE as usize);
            let state = CpuState::flat(CpuMode::Long, 0, 0, base);
            for address in [0, 0x7000, 0x4000_1000, 0xFEE0_0020, (1 << 32) - 1] {
                assert_eq!(walk::physical(&state, &tables, address), Some(address), "{base:#x} {address:#x}");
            }
            assert_eq!(walk::physical(&state, &tables, 1 << 32), None, "{base:#x}");
        }
    }

    #[test]
    fn one_large_page_maps_the_first_4_mib() {
        let tables = Ram { start: 0x1000, bytes: one_large_page() };
        let state = CpuState::flat(CpuMode::Paged, 0, 0, 0x1000);
        let last = u64::from(LARGE_PAGE_32) - 1;
        assert_eq!(walk::physical(&state, &tables, last), Some(last));
        assert_eq!(walk::physical(&state, &tables, last + 1), None);
    }
}
