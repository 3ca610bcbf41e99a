//! Guest memory: the one door to it.
//!
//! All access copies, through `vm-memory`; there is never a reference into guest memory. An
//! address that comes from a guest is an allegation, and every method here checks it.

use std::ops::Range;

use guest_abi::layout::{BOOT_INFO, MAX_MEMORY, PAGE_SIZE, STACK_BOTTOM, STACK_GUARD};
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, mmap::FromRangesError,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The memory of one guest: from address 0 to its size, with the layout's two holes.
#[derive(Debug)]
pub struct GuestMemory {
    mmap: GuestMemoryMmap,
    size: u32,
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
    /// Memory of `size` bytes, all zero.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Size`] if `size` is not a size that a guest can have; otherwise the
    /// system's own error.
    pub fn new(size: u32) -> Result<Self, MemoryError> {
        check_size(size)?;
        let ranges = [BOOT_INFO..STACK_GUARD, STACK_BOTTOM..size]
            .map(|Range { start, end }| (GuestAddress(start.into()), (end - start) as usize));
        let mmap =
            GuestMemoryMmap::from_ranges(&ranges).map_err(|source| MemoryError::Map { size, source })?;
        Ok(Self { mmap, size })
    }

    /// The size in bytes, holes included: one past the last address.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The ranges that KVM is to be told of.
    pub fn regions(&self) -> Result<Vec<Region>, MemoryError> {
        self.mmap
            .iter()
            .map(|region| {
                let start = region.start_addr();
                let host_address = self
                    .mmap
                    .get_host_address(start)
                    .map_err(|_| MemoryError::Range { address: start.0, len: region.len() })?;
                Ok(Region {
                    guest_address: start.0,
                    len: region.len(),
                    host_address: host_address.addr() as u64,
                })
            })
            .collect()
    }

    /// What lies at an address.
    pub fn place(&self, address: u64) -> Place {
        match address {
            _ if self.mmap.address_in_range(GuestAddress(address)) => Place::Memory,
            _ if address < u64::from(BOOT_INFO) => Place::NullPage,
            _ if (u64::from(STACK_GUARD)..u64::from(STACK_BOTTOM)).contains(&address) => Place::StackGuard,
            _ => Place::Beyond,
        }
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

    /// Copies a NUL-terminated string of at most `limit` bytes out of guest memory, without its NUL.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Range`] if memory or `limit` ends before the string does.
    pub fn read_c_string(&self, address: u32, limit: u32) -> Result<Vec<u8>, MemoryError> {
        let unterminated = MemoryError::Range { address: address.into(), len: limit.into() };
        let mut string = Vec::new();
        let mut chunk = [0; 64];
        while string.len() < limit as usize {
            let from = GuestAddress(u64::from(address) + string.len() as u64);
            let len = self.mmap.read(&mut chunk, from).unwrap_or(0);
            let chunk = &chunk[..len];
            match chunk.iter().position(|&byte| byte == 0) {
                Some(end) => {
                    string.extend_from_slice(&chunk[..end]);
                    return Ok(string);
                }
                None if chunk.is_empty() => return Err(unterminated),
                None => string.extend_from_slice(chunk),
            }
        }
        Err(unterminated)
    }
}

/// Whether a guest can have this much memory: whole pages, at least one beyond the stack, and
/// below the addresses that are not for memory.
///
/// # Errors
///
/// [`MemoryError::Size`] if not.
pub fn check_size(size: u32) -> Result<(), MemoryError> {
    let valid = size.is_multiple_of(PAGE_SIZE) && size > guest_abi::layout::IMAGE_BASE && size <= MAX_MEMORY;
    if valid { Ok(()) } else { Err(MemoryError::Size { size }) }
}

fn range_error(address: u32, len: usize) -> MemoryError {
    MemoryError::Range { address: address.into(), len: len as u64 }
}

/// Guest memory could not be made or reached.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// A guest cannot have this much memory.
    #[error(
        "a guest cannot have {size} bytes of memory: it takes a multiple of {PAGE_SIZE} above {} and up to {MAX_MEMORY}",
        guest_abi::layout::IMAGE_BASE
    )]
    Size {
        /// The size asked for, in bytes.
        size: u32,
    },
    /// The system has not that much memory.
    #[error("the system gave no {size} bytes of guest memory: {source}")]
    Map {
        /// The size asked for, in bytes.
        size: u32,
        /// The system's own error.
        source: FromRangesError,
    },
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
    use guest_abi::layout::{DEFAULT_MEMORY, IMAGE_BASE};

    use super::*;

    fn memory() -> GuestMemory {
        GuestMemory::new(DEFAULT_MEMORY).expect("2 MiB")
    }

    #[test]
    fn sizes_are_whole_pages_within_bounds() {
        for size in [0, 1, PAGE_SIZE, IMAGE_BASE, DEFAULT_MEMORY + 1, MAX_MEMORY + PAGE_SIZE] {
            assert!(matches!(GuestMemory::new(size), Err(MemoryError::Size { .. })), "{size:#x}");
        }
        assert_eq!(GuestMemory::new(IMAGE_BASE + PAGE_SIZE).expect("small").size(), IMAGE_BASE + PAGE_SIZE);
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
    fn strings_end_at_their_nul_or_not_at_all() {
        let memory = memory();
        memory.write(0x8000, b"text\0").expect("memory");
        assert_eq!(memory.read_c_string(0x8000, 100).expect("ends"), b"text");
        assert_eq!(memory.read_c_string(0x8004, 100).expect("empty"), b"");
        let long = [b'x'; 200];
        memory.write(DEFAULT_MEMORY - 200, &long).expect("memory");
        assert!(memory.read_c_string(DEFAULT_MEMORY - 200, 1000).is_err(), "no NUL before the end");
        assert!(memory.read_c_string(DEFAULT_MEMORY - 200, 100).is_err(), "no NUL before the limit");
        assert!(memory.read_c_string(0, 100).is_err(), "the null page");
        assert!(memory.read_c_string(u32::MAX, 100).is_err(), "no wrap-around");
    }
}
