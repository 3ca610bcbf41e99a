//! The page walk: from a linear address to a guest-physical one (Intel SDM volume 3A, chapter 4).
//!
//! The walk only reads. An interpreter sets the accessed and dirty bits itself, from the entries in the [`Mapping`].

use alloc::vec::Vec;
use core::ops::Range;

use guest_abi::mode::CpuMode;
use x86_64::registers::control::{Cr4Flags, EferFlags};
use x86_64::structures::paging::PageTableFlags as Flags;

use crate::{memory::GuestMemory, state::CpuState};

/// A translated address, with the rights of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The guest-physical address.
    pub physical: u64,
    /// The size of the page in bytes; 0 without paging.
    pub page_size: u64,
    /// Every level allows writes.
    pub writable: bool,
    /// Every level allows access from privilege level 3.
    pub user: bool,
    /// No level forbids to fetch instructions.
    pub executable: bool,
    entries: [Entry; LEVELS],
    depth: usize,
}

/// An entry of a page table that the walk used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its guest-physical address.
    pub address: u64,
    /// Its value.
    pub value: u64,
}

impl Mapping {
    /// Returns the entries that the walk used, the top table's first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries[..self.depth]
    }
}

/// The reason why an address is not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// The address is not canonical: its upper bits are not copies of the highest one that is translated.
    NotCanonical,
    /// An entry is not present.
    NotPresent,
    /// An entry has a reserved bit set.
    Reserved,
    /// A page table lies where there is no memory.
    NoTable {
        /// The guest-physical address of the entry.
        address: u64,
    },
}

/// The most levels that are supported: page map levels 5 and 4, directory pointers, directory, table.
const LEVELS: usize = 5;

/// The bits of an entry that are an address, for tables of 8-byte entries.
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
const PAGE: u64 = 1 << 12;

/// Translates a linear address as the CPU does.
///
/// Without paging the result is the address itself, cut to 32 bits. Rights are returned and not checked: the caller
/// knows the access and its privilege.
///
/// # Errors
///
/// The reason why the address is not mapped.
pub fn walk(state: &CpuState, memory: &dyn GuestMemory, linear: u64) -> Result<Mapping, Unmapped> {
    walk_on(Hardware::default(), state, memory, linear)
}

/// The four directory pointers of PAE paging.
pub type DirectoryPointers = [u64; 4];

/// What a walk depends on that is not in the CPU's state.
#[derive(Clone, Copy, Debug)]
pub struct Hardware {
    /// The number of bits of guest-physical addresses, 32 to 52: those above are reserved (Intel SDM volume 3A, 4.1.4).
    pub width: u32,
    /// The directory pointers that the CPU has loaded. Without them those in memory are used, which can have changed since
    /// (Intel SDM volume 3A, 4.4.1).
    pub pointers: Option<DirectoryPointers>,
}

impl Default for Hardware {
    fn default() -> Self {
        Self { width: 52, pointers: None }
    }
}

/// Translates a linear address as [`walk`] does, on a certain CPU.
///
/// # Errors
///
/// The reason why the address is not mapped.
pub fn walk_on(
    hardware: Hardware,
    state: &CpuState,
    memory: &dyn GuestMemory,
    linear: u64,
) -> Result<Mapping, Unmapped> {
    Walk::new(linear).end(hardware, state, memory)
}

/// A walk under way.
pub(crate) struct Walk {
    linear: u64,
    mapping: Mapping,
    /// The bits of an entry that must be 0.
    reserved: u64,
}

impl Walk {
    pub(crate) fn new(linear: u64) -> Self {
        let mapping = Mapping {
            physical: linear,
            page_size: 0,
            writable: true,
            user: true,
            executable: true,
            entries: [Entry::default(); LEVELS],
            depth: 0,
        };
        Self { linear, mapping, reserved: 0 }
    }

    /// Walks to the page. After a failure the mapping has the entries before the one at which the walk ended.
    pub(crate) fn end(
        &mut self,
        hardware: Hardware,
        state: &CpuState,
        memory: &dyn GuestMemory,
    ) -> Result<Mapping, Unmapped> {
        let Hardware { width, pointers } = hardware;
        let paging = Paging::of(state);
        if !matches!(paging, Paging::Long(_)) {
            self.linear &= u64::from(u32::MAX);
            self.mapping.physical = self.linear;
        }
        let no_execute = state.efer & EferFlags::NO_EXECUTE_ENABLE.bits() != 0;
        match paging {
            Paging::Off => Ok(self.mapping),
            Paging::TwoLevels => self.two_levels(state, memory),
            Paging::ThreeLevels => {
                let pointers = pointers.map_or_else(|| directory_pointers(state.cr3, memory), Ok)?;
                // All bits up to the one that forbids to execute.
                self.reserved = !0 << width & !(1 << 63);
                self.three_levels(state.cr3, pointers, memory, no_execute)
            }
            Paging::Long(levels) => {
                if canonical(self.linear, levels) != self.linear {
                    return Err(Unmapped::NotCanonical);
                }
                self.reserved = ADDRESS & !0 << width;
                self.wide(memory, state.cr3 & ADDRESS, levels, no_execute)
            }
        }
    }

    /// Returns the number of entries that were present so far.
    pub(crate) fn depth(&self) -> usize {
        self.mapping.depth
    }

    /// Adds an entry and returns its flags, if it is present.
    fn enter(&mut self, address: u64, value: u64) -> Result<Flags, Unmapped> {
        let flags = Flags::from_bits_retain(value);
        if !flags.contains(Flags::PRESENT) {
            return Err(Unmapped::NotPresent);
        }
        self.mapping.entries[self.mapping.depth] = Entry { address, value };
        self.mapping.depth += 1;
        Ok(flags)
    }

    fn restrict(&mut self, flags: Flags) {
        self.mapping.writable &= flags.contains(Flags::WRITABLE);
        self.mapping.user &= flags.contains(Flags::USER_ACCESSIBLE);
    }

    fn ends(&mut self, frame: u64, size: u64) -> Mapping {
        self.mapping.physical = (frame & !(size - 1)) | (self.linear & (size - 1));
        self.mapping.page_size = size;
        self.mapping
    }

    /// Walks tables of 8-byte entries from level `level` down.
    fn wide(
        &mut self,
        memory: &dyn GuestMemory,
        mut table: u64,
        mut level: u32,
        no_execute: bool,
    ) -> Result<Mapping, Unmapped> {
        loop {
            let shift = 12 + 9 * (level - 1);
            let address = table + 8 * (self.linear >> shift & 0x1FF);
            let value = read_u64(memory, address)?;
            let flags = self.enter(address, value)?;
            if value & self.reserved != 0 || !no_execute && flags.contains(Flags::NO_EXECUTE) {
                return Err(Unmapped::Reserved);
            }
            self.restrict(flags);
            self.mapping.executable &= !flags.contains(Flags::NO_EXECUTE);
            // At level 1 the bit means another thing: the page attribute table.
            let is_large = level > 1 && flags.contains(Flags::HUGE_PAGE);
            table = value & ADDRESS;
            if is_large || level == 1 {
                return if is_large {
                    self.large(table, level, 1 << shift)
                } else {
                    Ok(self.ends(table, PAGE))
                };
            }
            level -= 1;
        }
    }

    /// A page of 2 MiB or 1 GiB. Higher levels have none.
    fn large(&mut self, frame: u64, level: u32, size: u64) -> Result<Mapping, Unmapped> {
        // Bit 12 of the entry is the page attribute table's; the others below the page's size are reserved.
        if level > 3 || frame & (size - 1) & !PAGE != 0 {
            return Err(Unmapped::Reserved);
        }
        Ok(self.ends(frame, size))
    }

    /// PAE paging: four directory pointers, then two levels (Intel SDM volume 3A, 4.4).
    fn three_levels(
        &mut self,
        cr3: u64,
        pointers: DirectoryPointers,
        memory: &dyn GuestMemory,
        no_execute: bool,
    ) -> Result<Mapping, Unmapped> {
        let index = self.linear >> 30 & 3;
        let pointer = pointers[index as usize];
        self.enter((cr3 & POINTERS) + 8 * index, pointer)?;
        // The pointers have no rights: they are as if writable and for every privilege.
        self.wide(memory, pointer & ADDRESS, 2, no_execute)
    }

    /// 32-bit paging: a directory and tables of 4-byte entries (Intel SDM volume 3A, 4.3).
    fn two_levels(&mut self, state: &CpuState, memory: &dyn GuestMemory) -> Result<Mapping, Unmapped> {
        const LARGE: u64 = 1 << 22;
        let address = (state.cr3 & 0xFFFF_F000) + 4 * (self.linear >> 22);
        let directory = read_u32(memory, address)?;
        let flags = self.enter(address, directory)?;
        self.restrict(flags);
        if flags.contains(Flags::HUGE_PAGE) && state.cr4 & Cr4Flags::PAGE_SIZE_EXTENSION.bits() != 0 {
            // Bits 13 to 20 are bits 32 to 39 of the address (PSE-36); bit 21 is reserved.
            if directory & 1 << 21 != 0 {
                return Err(Unmapped::Reserved);
            }
            let frame = (directory & 0xFFC0_0000) | (directory >> 13 & 0xFF) << 32;
            return Ok(self.ends(frame, LARGE));
        }
        let address = (directory & 0xFFFF_F000) + 4 * (self.linear >> 12 & 0x3FF);
        let value = read_u32(memory, address)?;
        let flags = self.enter(address, value)?;
        self.restrict(flags);
        Ok(self.ends(value & 0xFFFF_F000, PAGE))
    }
}

/// The kind of paging (Intel SDM volume 3A, 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paging {
    Off,
    /// 32-bit paging.
    TwoLevels,
    /// PAE paging.
    ThreeLevels,
    /// 4-level or 5-level paging.
    Long(u32),
}

impl Paging {
    pub(crate) fn of(state: &CpuState) -> Self {
        let is_set = |flag: Cr4Flags| state.cr4 & flag.bits() != 0;
        match state.has_paging() {
            false => Self::Off,
            true if !is_set(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION) => Self::TwoLevels,
            true if !state.is_long() => Self::ThreeLevels,
            true => Self::Long(if is_set(Cr4Flags::L5_PAGING) { 5 } else { 4 }),
        }
    }

    /// Returns the number of bytes that an entry stands for, behind `depth` others.
    pub(crate) fn span(self, depth: usize) -> u64 {
        let shifts: &[u32] = match self {
            Self::Off => &[32],
            Self::TwoLevels => &[22, 12],
            Self::ThreeLevels => &[30, 21, 12],
            Self::Long(4) => &[39, 30, 21, 12],
            Self::Long(_) => &[48, 39, 30, 21, 12],
        };
        shifts.get(depth).map_or(PAGE, |shift| 1 << shift)
    }

    /// Returns the first address behind the page of this size around an address, unless it is the last one.
    pub(crate) fn after(self, linear: u64, size: u64) -> Option<u64> {
        let next = (linear & !(size - 1)).checked_add(size)?;
        match self {
            Self::Long(levels) => Some(canonical(next, levels)),
            _ => Some(next).filter(|&next| next <= u32::MAX.into()),
        }
    }
}

/// Returns an address with its upper bits as copies of the highest one that is translated.
fn canonical(linear: u64, levels: u32) -> u64 {
    let unused = 64 - (12 + 9 * levels);
    ((linear << unused).cast_signed() >> unused).cast_unsigned()
}

/// The address of the directory pointers in CR3.
const POINTERS: u64 = 0xFFFF_FFE0;

/// Returns the directory pointers of PAE paging that CR3 has the address of.
///
/// # Errors
///
/// There is no memory.
pub fn directory_pointers(cr3: u64, memory: &dyn GuestMemory) -> Result<DirectoryPointers, Unmapped> {
    let mut pointers = [0; 4];
    for (address, pointer) in (cr3 & POINTERS..).step_by(8).zip(&mut pointers) {
        *pointer = read_u64(memory, address)?;
    }
    Ok(pointers)
}

fn read_u64(memory: &dyn GuestMemory, address: u64) -> Result<u64, Unmapped> {
    let mut bytes = [0; 8];
    memory.read(address, &mut bytes).map_err(|_| Unmapped::NoTable { address })?;
    Ok(u64::from_le_bytes(bytes))
}

fn read_u32(memory: &dyn GuestMemory, address: u64) -> Result<u64, Unmapped> {
    let mut bytes = [0; 4];
    memory.read(address, &mut bytes).map_err(|_| Unmapped::NoTable { address })?;
    Ok(u32::from_le_bytes(bytes).into())
}

/// The pieces of a linear range that lie in one page each: the guest-physical address, if the piece is mapped, and the
/// piece's place in the range.
fn pieces(
    state: &CpuState,
    memory: &dyn GuestMemory,
    start: u64,
    len: usize,
) -> impl Iterator<Item = (Option<u64>, Range<usize>)> {
    // Without long mode there are no linear addresses beyond 4 GiB (SDM volume 3A, 3.3).
    let most = if state.mode() == CpuMode::Long { u64::MAX } else { u32::MAX.into() };
    let mut at = 0;
    core::iter::from_fn(move || {
        if at >= len {
            return None;
        }
        let address = start.wrapping_add(at as u64) & most;
        let left = PAGE - address % PAGE;
        let end = usize::try_from(left).map_or(len, |left| len.min(at + left));
        let piece = (physical(state, memory, address), at..end);
        at = end;
        Some(piece)
    })
}

/// Returns the guest-physical address of a linear one, if it is mapped.
pub fn physical(state: &CpuState, memory: &dyn GuestMemory, linear: u64) -> Option<u64> {
    walk(state, memory, linear).ok().map(|mapping| mapping.physical)
}

/// Copies memory from a linear address. Returns the number of bytes before the first one that is not there.
pub fn read_linear(state: &CpuState, memory: &dyn GuestMemory, address: u64, buffer: &mut [u8]) -> usize {
    let mut done = 0;
    for (physical, range) in pieces(state, memory, address, buffer.len()) {
        let Some(piece) = buffer.get_mut(range.clone()) else { break };
        if physical.is_none_or(|physical| memory.read(physical, piece).is_err()) {
            return done;
        }
        done = range.end;
    }
    done
}

/// Copies bytes to a linear address, all or none. Returns true if all of them are in memory now.
pub fn write_linear(state: &CpuState, memory: &mut dyn GuestMemory, address: u64, bytes: &[u8]) -> bool {
    let pieces: Vec<_> = pieces(state, memory, address, bytes.len()).collect();
    let is_there = |(physical, range): &(Option<u64>, Range<usize>)| {
        physical.is_some_and(|physical| memory.contains(physical, range.len()))
    };
    pieces.iter().all(is_there)
        && pieces.into_iter().all(|(physical, range)| {
            physical.is_some_and(|physical| memory.write(physical, &bytes[range]).is_ok())
        })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::memory::tests::Ram;

    /// Returns memory with these entries of tables.
    fn with(entries: &[(usize, u64)]) -> Ram {
        let mut bytes = vec![0; 0x8000];
        for &(address, value) in entries {
            bytes[address..address + 8].copy_from_slice(&value.to_le_bytes());
        }
        Ram { start: 0, bytes }
    }

    fn translated(state: &CpuState, ram: &Ram, linear: u64) -> Result<u64, Unmapped> {
        walk(state, ram, linear).map(|mapping| mapping.physical)
    }

    #[test]
    fn without_paging_an_address_is_itself() {
        let state = CpuState::flat(CpuMode::Protected, 0, 0, 0);
        assert_eq!(translated(&state, &with(&[]), 0x1234), Ok(0x1234));
    }

    #[test]
    fn four_levels_end_at_a_page_of_each_size() {
        let mut state = CpuState::flat(CpuMode::Long, 0, 0, 0x1000);
        let ram = with(&[
            (0x1000, 0x2003),
            (0x2000, 0x3007),
            (0x2008, 0x4000_0083),
            (0x3000, 0x4003),
            (0x3008, 0x60_0083),
            (0x3010, 0x61_0083),
            (0x4000, 0x5001),
            (0x4008, 1 << 63 | 0x6007),
        ]);
        assert_eq!(translated(&state, &ram, 0x123), Ok(0x5123));
        assert_eq!(translated(&state, &ram, 0x20_0456), Ok(0x60_0456));
        assert_eq!(translated(&state, &ram, 0x4000_0789), Ok(0x4000_0789));
        assert_eq!(translated(&state, &ram, 0x2000), Err(Unmapped::NotPresent));
        assert_eq!(translated(&state, &ram, 0x40_0000), Err(Unmapped::Reserved), "bit 16 of a page of 2 MiB");
        assert_eq!(translated(&state, &ram, 1 << 47), Err(Unmapped::NotCanonical));
        assert_eq!(translated(&state, &ram, 0x1000), Err(Unmapped::Reserved), "NX without EFER.NXE");
        state.efer |= EferFlags::NO_EXECUTE_ENABLE.bits();
        let mapping = walk(&state, &ram, 0x1000).expect("mapped");
        assert!(mapping.writable && !mapping.user && !mapping.executable);
        assert_eq!(mapping.entries().len(), 4);
        assert_eq!(mapping.entries()[3], Entry { address: 0x4008, value: 1 << 63 | 0x6007 });
    }

    #[test]
    fn thirty_two_bit_paging_has_pages_of_4_kib_and_4_mib() {
        let state = CpuState::flat(CpuMode::Paged, 0, 0, 0x1000);
        let ram = with(&[(0x1000, 0x2007 | 0x0040_0083 << 32), (0x2000, 0x5007 | 0x6005 << 32)]);
        let small = walk(&state, &ram, 0x123).expect("mapped");
        assert_eq!((small.physical, small.writable, small.user), (0x5123, true, true));
        assert!(!walk(&state, &ram, 0x1000).expect("mapped").writable);
        assert_eq!(translated(&state, &ram, 0x40_0123), Ok(0x40_0123));
        assert_eq!(translated(&state, &ram, 0x80_0000), Err(Unmapped::NotPresent));
    }

    #[test]
    fn pae_paging_has_directory_pointers_without_rights() {
        let mut state = CpuState::flat(CpuMode::Paged, 0, 0, 0x1020);
        state.cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits();
        let ram = with(&[(0x1028, 0x2001), (0x2000, 0x20_0083)]);
        let mapping = walk(&state, &ram, 0x4000_0010).expect("mapped");
        assert_eq!((mapping.physical, mapping.page_size), (0x20_0010, 0x20_0000));
        assert!(mapping.writable);
        assert_eq!(translated(&state, &ram, 0), Err(Unmapped::NotPresent));
    }

    #[test]
    fn a_table_outside_of_memory_is_named() {
        let state = CpuState::flat(CpuMode::Long, 0, 0, 0x9000);
        assert_eq!(translated(&state, &with(&[]), 0), Err(Unmapped::NoTable { address: 0x9000 }));
    }
}
