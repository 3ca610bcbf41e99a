//! Guest memory: the one door to it.
//!
//! All access copies, through `vm-memory`; there is never a reference into guest memory. An
//! address that comes from a guest is an allegation, and every method here checks it.

use std::{io, ops::Range, sync::LazyLock};

use guest_abi::layout::{
    BOOT_INFO, IMAGE_BASE, MAX_ARGUMENTS_SIZE, MAX_MEMORY, PAGE_SIZE, STACK_BOTTOM, STACK_GUARD,
};
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, mmap::FromRangesError,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The memory of one guest, from address 0 to its size: with the two holes of
/// [`guest_abi::layout`], or without.
#[derive(Debug)]
pub struct GuestMemory {
    mmap: GuestMemoryMmap,
    size: u32,
    guarded: bool,
}

/// A range of guest-physical addresses that has memory behind it, with where the host has it.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    /// The guest-physical address of its first byte.
    pub guest_address: u64,
    /// Its length in bytes.
    pub len: u64,
    /// The host-virtual address of its first byte.
    pub host_address: u64,
}

/// What lies at a guest-physical address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Memory.
    Memory,
    /// The page at 0, which has no memory so that null pointers are noticed.
    NullPage,
    /// The page below the stack, which has no memory so that overflows are noticed.
    StackGuard,
    /// Nothing: beyond the guest's memory.
    Beyond,
}

impl GuestMemory {
    /// Memory of `size` bytes, all zero, with the two holes.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Size`] if `size` is not a size that a guest can have; otherwise the
    /// system's own error.
    pub fn guarded(size: u32) -> Result<Self, MemoryError> {
        check_size(size.into())?;
        if size <= IMAGE_BASE {
            return Err(MemoryError::Size { size: size.into() });
        }
        Ok(Self { mmap: map(size, [BOOT_INFO..STACK_GUARD, STACK_BOTTOM..size])?, size, guarded: true })
    }

    /// Memory of `size` bytes, all zero, without holes, and `reserved` bytes behind it that are
    /// the host's to fill.
    ///
    /// # Errors
    ///
    /// As [`guarded`](Self::guarded).
    pub fn flat(size: u32, reserved: u32) -> Result<Self, MemoryError> {
        check_size(size.into())?;
        let end = size.checked_add(reserved).ok_or(MemoryError::Size { size: size.into() })?;
        Ok(Self { mmap: map(size, std::iter::once(0..end))?, size, guarded: false })
    }

    /// Makes all of it zero again, as it was when it was new; the pages go back to the system.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Clear`], the system's own error.
    pub fn clear(&self) -> Result<(), MemoryError> {
        for region in self.mmap.iter() {
            // SAFETY: the range is a whole mapping of vm-memory's, private and anonymous: pages that
            // are given back read as zero (madvise(2), MADV_DONTNEED). There is no reference into
            // it, here or elsewhere: see this module's head.
            let outcome =
                unsafe { libc::madvise(region.as_ptr().cast(), region.size(), libc::MADV_DONTNEED) };
            if outcome != 0 {
                return Err(MemoryError::Clear(io::Error::last_os_error()));
            }
        }
        Ok(())
    }

    /// The size in bytes, holes included: one past the last address.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The ranges that KVM is to be told of.
    ///
    /// # Errors
    ///
    /// None that can be caused: a region's first byte is in memory.
    pub fn regions(&self) -> Result<Vec<Region>, MemoryError> {
        let region = |region: &vm_memory::GuestRegionMmap| {
            let (guest_address, len) = (region.start_addr().0, region.len());
            let host_address =
                self.host_address(guest_address).ok_or(MemoryError::Range { address: guest_address, len })?;
            Ok(Region { guest_address, len, host_address })
        };
        self.mmap.iter().map(region).collect()
    }

    /// What lies at an address.
    pub fn place(&self, address: u64) -> Place {
        match address {
            _ if self.mmap.address_in_range(GuestAddress(address)) => Place::Memory,
            _ if !self.guarded => Place::Beyond,
            _ if address < u64::from(BOOT_INFO) => Place::NullPage,
            _ if (u64::from(STACK_GUARD)..u64::from(STACK_BOTTOM)).contains(&address) => Place::StackGuard,
            _ => Place::Beyond,
        }
    }

    /// Where the host has the byte at an address, if that is memory.
    pub fn host_address(&self, address: u64) -> Option<u64> {
        let host_address = self.mmap.get_host_address(GuestAddress(address)).ok()?;
        Some(host_address.addr() as u64)
    }

    /// Whether all of a range is memory.
    pub fn contains(&self, address: u32, len: u32) -> bool {
        self.mmap.check_range(GuestAddress(address.into()), len as usize)
    }

    /// Copies bytes out of guest memory.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Range`] if not all of the range is memory.
    pub fn read(&self, address: u32, buffer: &mut [u8]) -> Result<(), MemoryError> {
        self.mmap
            .read_slice(buffer, GuestAddress(address.into()))
            .map_err(|_| range_error(address, buffer.len()))
    }

    /// Copies bytes into guest memory.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Range`] if not all of the range is memory.
    pub fn write(&self, address: u32, bytes: &[u8]) -> Result<(), MemoryError> {
        let address_in_memory = GuestAddress(address.into());
        // vm-memory would write the part that is in memory.
        if !self.mmap.check_range(address_in_memory, bytes.len()) {
            return Err(range_error(address, bytes.len()));
        }
        self.mmap.write_slice(bytes, address_in_memory).map_err(|_| range_error(address, bytes.len()))
    }

    /// Copies a record out of guest memory.
    ///
    /// # Errors
    ///
    /// As [`GuestMemory::read`].
    pub fn read_record<T: FromBytes + IntoBytes>(&self, address: u32) -> Result<T, MemoryError> {
        let mut record = T::new_zeroed();
        self.read(address, record.as_mut_bytes())?;
        Ok(record)
    }

    /// Copies a record into guest memory.
    ///
    /// # Errors
    ///
    /// As [`GuestMemory::write`].
    pub fn write_record<T: IntoBytes + Immutable>(
        &self,
        address: u32,
        record: &T,
    ) -> Result<(), MemoryError> {
        self.write(address, record.as_bytes())
    }

    /// Copies a NUL-terminated string of at most `limit` bytes out of guest memory, without its NUL;
    /// `None` if it is longer.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Range`] if memory ends before the string does.
    pub fn read_c_string(&self, address: u32, limit: u32) -> Result<Option<Vec<u8>>, MemoryError> {
        let mut string = Vec::new();
        let mut chunk = [0; 64];
        while string.len() <= limit as usize {
            let from = GuestAddress(u64::from(address) + string.len() as u64);
            let len = self.mmap.read(&mut chunk, from).unwrap_or(0);
            match chunk[..len].iter().position(|&byte| byte == 0) {
                _ if len == 0 => return Err(range_error(address, string.len() + 1)),
                Some(end) => {
                    string.extend_from_slice(&chunk[..end]);
                    return Ok((string.len() <= limit as usize).then_some(string));
                }
                None => string.extend_from_slice(&chunk[..len]),
            }
        }
        Ok(None)
    }
}

fn map(size: u32, ranges: impl IntoIterator<Item = Range<u32>>) -> Result<GuestMemoryMmap, MemoryError> {
    let range = |range: Range<u32>| (GuestAddress(range.start.into()), (range.end - range.start) as usize);
    let ranges: Vec<_> = ranges.into_iter().map(range).collect();
    GuestMemoryMmap::from_ranges(&ranges).map_err(|source| MemoryError::Map { size, source })
}

/// Whether a guest can have this much memory: whole pages, below the addresses that are not for
/// memory, and no more than this machine has.
///
/// # Errors
///
/// [`MemoryError::Size`] or [`MemoryError::Ram`] if not.
pub fn check_size(size: u64) -> Result<u32, MemoryError> {
    let checked = match u32::try_from(size) {
        Ok(checked @ 1..=MAX_MEMORY) if checked.is_multiple_of(PAGE_SIZE) => checked,
        _ => return Err(MemoryError::Size { size }),
    };
    match *RAM {
        Some(ram) if size > ram => Err(MemoryError::Ram { size, ram }),
        _ => Ok(checked),
    }
}

/// The memory of this machine in bytes, if it is known: read once, since the jail has no files.
static RAM: LazyLock<Option<u64>> =
    LazyLock::new(|| total_ram(&std::fs::read_to_string("/proc/meminfo").ok()?));

/// The memory of this machine in bytes, as `/proc/meminfo` has it: `MemTotal: 16384 kB`.
fn total_ram(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

fn range_error(address: u32, len: usize) -> MemoryError {
    MemoryError::Range { address: address.into(), len: len as u64 }
}

/// Guest memory could not be made or reached.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// A guest cannot have this much memory.
    #[error(
        "a guest cannot have {size} bytes of memory: it takes a multiple of {PAGE_SIZE}, up to {MAX_MEMORY} (3 GiB), and above {IMAGE_BASE} for a guest of guest-rt"
    )]
    Size {
        /// The size asked for, in bytes.
        size: u64,
    },
    /// This machine has not that much memory.
    #[error("a guest cannot have {size} bytes of memory: this machine has {ram}")]
    Ram {
        /// The size asked for, in bytes.
        size: u64,
        /// This machine's memory, in bytes.
        ram: u64,
    },
    /// An image lies where its mode does not reach.
    #[error(
        "the image ends at {end:#x}, and in paged mode, with its one page of 4 MiB, it may end at {limit:#x}: load it lower"
    )]
    OutOfReach {
        /// One past the image's last address.
        end: u64,
        /// One past the highest that it may be.
        limit: u64,
    },
    /// More arguments than there is room for.
    #[error(
        "the arguments have {len} bytes, the end of each included; a guest can be told {MAX_ARGUMENTS_SIZE}"
    )]
    Arguments {
        /// Their length in bytes.
        len: usize,
    },
    /// The system gave no memory.
    #[error("the system gave no {size} bytes of guest memory: {source}")]
    Map {
        /// The size asked for, in bytes.
        size: u32,
        /// The system's own error.
        source: FromRangesError,
    },
    /// The system did not take the pages back.
    #[error("guest memory could not be cleared: {0}")]
    Clear(io::Error),
    /// Not all of the range is memory.
    #[error("{address:#x}, {len} bytes, is not all in guest memory")]
    Range {
        /// The first address.
        address: u64,
        /// The number of bytes.
        len: u64,
    },
}

#[cfg(test)]
mod tests {
    use guest_abi::layout::DEFAULT_MEMORY;

    use super::*;

    fn memory() -> GuestMemory {
        GuestMemory::guarded(DEFAULT_MEMORY).expect("2 MiB")
    }

    #[test]
    fn sizes_are_whole_pages_within_bounds() {
        for size in [0, 1, DEFAULT_MEMORY + 1, MAX_MEMORY + PAGE_SIZE] {
            assert!(matches!(check_size(size.into()), Err(MemoryError::Size { .. })), "{size:#x}");
            assert!(GuestMemory::flat(size, PAGE_SIZE).is_err() && GuestMemory::guarded(size).is_err());
        }
        assert!(matches!(GuestMemory::guarded(IMAGE_BASE), Err(MemoryError::Size { .. })));
        assert_eq!(
            GuestMemory::guarded(IMAGE_BASE + PAGE_SIZE).expect("small").size(),
            IMAGE_BASE + PAGE_SIZE
        );
        assert_eq!(GuestMemory::flat(PAGE_SIZE, PAGE_SIZE).expect("small").size(), PAGE_SIZE);
    }

    #[test]
    fn this_machines_memory_is_read_from_meminfo() {
        assert_eq!(total_ram("MemFree: 1 kB\nMemTotal:       24576 kB\n"), Some(24 << 20));
        assert_eq!(total_ram("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn flat_memory_has_no_holes_and_ends_with_the_reserved_bytes() {
        let memory = GuestMemory::flat(DEFAULT_MEMORY, PAGE_SIZE).expect("2 MiB");
        let last = u64::from(DEFAULT_MEMORY + PAGE_SIZE) - 1;
        for address in [0, STACK_GUARD.into(), u64::from(DEFAULT_MEMORY), last] {
            assert_eq!(memory.place(address), Place::Memory, "{address:#x}");
        }
        assert_eq!(memory.place(last + 1), Place::Beyond);
        assert_eq!(memory.host_address(5), memory.host_address(4).map(|address| address + 1));
        assert_eq!(memory.host_address(last + 1), None);
    }

    #[test]
    fn the_holes_are_named() {
        let memory = memory();
        assert_eq!(memory.place(0), Place::NullPage);
        assert_eq!(memory.place(0xFFF), Place::NullPage);
        assert_eq!(memory.place(0x1000), Place::Memory);
        assert_eq!(memory.place(STACK_GUARD.into()), Place::StackGuard);
        assert_eq!(memory.place(u64::from(STACK_BOTTOM) - 1), Place::StackGuard);
        assert_eq!(memory.place(u64::from(DEFAULT_MEMORY) - 1), Place::Memory);
        assert_eq!(memory.place(DEFAULT_MEMORY.into()), Place::Beyond);
        assert_eq!(memory.place(u64::MAX), Place::Beyond);
    }

    #[test]
    fn access_outside_memory_is_refused_and_touches_nothing() {
        let memory = memory();
        let last = DEFAULT_MEMORY - 2;
        for address in [0, STACK_GUARD - 2, last, u32::MAX - 1] {
            assert!(memory.write(address, &[1; 4]).is_err(), "{address:#x}");
            assert!(memory.read(address, &mut [0; 4]).is_err(), "{address:#x}");
            assert!(!memory.contains(address, 4), "{address:#x}");
        }
        assert_eq!(memory.read_record::<[u8; 2]>(last).expect("memory"), [0, 0]);
        memory.write(last, &[5, 6]).expect("the last two bytes");
        assert_eq!(memory.read_record::<[u8; 2]>(last).expect("the same"), [5, 6]);
    }

    #[test]
    fn cleared_memory_is_zero_everywhere() {
        let memory = memory();
        for address in [BOOT_INFO, STACK_BOTTOM, DEFAULT_MEMORY - 4] {
            memory.write(address, &[1; 4]).expect("memory");
        }
        memory.clear().expect("the system takes pages back");
        for address in [BOOT_INFO, STACK_BOTTOM, DEFAULT_MEMORY - 4] {
            assert_eq!(memory.read_record::<[u8; 4]>(address).expect("memory"), [0; 4]);
        }
        memory.write(BOOT_INFO, &[2]).expect("it can be used again");
    }

    #[test]
    fn strings_end_at_their_nul_or_not_at_all() {
        let memory = memory();
        memory.write(0x8000, b"text\0").expect("memory");
        assert_eq!(memory.read_c_string(0x8000, 100).expect("ends"), Some(b"text".into()));
        assert_eq!(memory.read_c_string(0x8004, 100).expect("empty"), Some(Vec::new()));
        let long = [b'x'; 200];
        memory.write(DEFAULT_MEMORY - 200, &long).expect("memory");
        assert!(memory.read_c_string(DEFAULT_MEMORY - 200, 1000).is_err(), "no NUL before the end");
        assert_eq!(memory.read_c_string(DEFAULT_MEMORY - 200, 100).expect("too long"), None);
        assert_eq!(memory.read_c_string(0x8000, 4).expect("as long as allowed"), Some(b"text".into()));
        assert_eq!(memory.read_c_string(0x8000, 3).expect("too long"), None);
        assert!(memory.read_c_string(0, 100).is_err(), "the null page");
        assert!(memory.read_c_string(u32::MAX, 100).is_err(), "no wrap-around");
    }
}
