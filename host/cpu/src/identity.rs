//! Page tables that map every address to itself, for guests that are started with paging on
//! (Intel SDM volume 3A, 4.3 "32-Bit Paging", 4.5 "4-Level Paging"). The entries' bits are the
//! `x86_64` crate's.

use guest_abi::layout::PAGE_SIZE;
use x86_64::structures::paging::{PageSize, PageTableFlags, Size2MiB};

/// What a large page covers with 32-bit paging, in bytes.
pub const LARGE_PAGE_32: u32 = 4 << 20;

/// An entry that names a table of the next level.
const TABLE: u64 = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE).bits();

/// An entry that maps a large page.
const LARGE_PAGE: u64 = TABLE | PageTableFlags::HUGE_PAGE.bits();

/// The number of entries in a table of 4-level paging.
const ENTRIES: u64 = 512;

/// A page directory for 32-bit paging: one 4 MiB page at 0.
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

/// Tables of 4-level paging for 2 MiB pages, to be put at `address`: the top table, one table of directories, and
/// the directories. They map 4 GiB, however much memory there is: an access where there is none leaves the guest,
/// and its address is known.
pub fn four_levels(address: u32) -> Vec<u8> {
    let page = u64::from(PAGE_SIZE);
    let table_at = |index: u64| u64::from(address) + index * page + TABLE;
    let directories = u64::from(DIRECTORIES);
    let mut tables = Vec::new();
    push_table(&mut tables, std::iter::once(table_at(1)));
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
    use super::*;

    /// Walks the tables as the CPU does (SDM 3A, figure 4-9): the physical address of a linear one.
    fn walk(tables: &[u8], base: u32, linear: u64) -> Option<u64> {
        let entry = |table: u64, shift: u32| {
            let at =
                usize::try_from(table - u64::from(base) + (linear >> shift) % ENTRIES * 8).expect("small");
            let entry = u64::from_le_bytes(tables[at..at + 8].try_into().expect("eight bytes"));
            (entry & 1 == 1).then_some(entry)
        };
        let frame = |entry: u64| entry & 0x000F_FFFF_FFFF_F000;
        let pdpt = frame(entry(u64::from(base), 39)?);
        let directory = frame(entry(pdpt, 30)?);
        let page = entry(directory, 21)?;
        assert_eq!(page & 0x80, 0x80, "a large page");
        Some((frame(page)) + linear % Size2MiB::SIZE)
    }

    #[test]
    fn four_levels_map_every_address_below_4_gib_to_itself() {
        for base in [0x1000, 0x20_1000, 0xC000_1000_u32] {
            let tables = four_levels(base);
            assert_eq!(tables.len(), FOUR_LEVELS_SIZE as usize);
            for address in [0, 0x7000, 0x4000_1000, 0xFEE0_0020, (1 << 32) - 1] {
                assert_eq!(walk(&tables, base, address), Some(address), "{base:#x} {address:#x}");
            }
            assert_eq!(walk(&tables, base, 1 << 32), None, "{base:#x}");
        }
    }

    #[test]
    fn one_large_page_is_present_writable_and_large() {
        let table = one_large_page();
        assert_eq!((&table[..4], table.len()), (&[0x83, 0, 0, 0][..], 4096));
        assert!(table[4..].iter().all(|&byte| byte == 0));
    }
}
