//! The memory of a guest, as its machine sees it: the layout, and checked access.
//!
//! All access copies. An address that comes from a guest is a claim, and every function here checks it.

use guest_abi::layout::{BOOT_INFO, IMAGE_BASE, MAX_MEMORY, PAGE_SIZE, STACK_BOTTOM, STACK_GUARD};
use guestlab_cpu::{GuestMemory, MemoryPlan, OutOfMemory};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The layout of a guest's memory, from address 0 to its size: with the two holes of [`guest_abi::layout`], or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLayout {
    /// The size in bytes, holes included: one past the last address.
    size: u32,
    /// One past the last address of the host's own pages behind the guest's memory.
    end: u32,
    guarded: bool,
}

/// The kind of memory at a guest-physical address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// Memory.
    Memory,
    /// The page at 0. It has no memory, so that an access through a null pointer exits.
    NullPage,
    /// The page below the stack. It has no memory, so that a stack overflow exits.
    StackGuard,
    /// Nothing: beyond the guest's memory.
    Beyond,
}

/// The error for a size of memory that no guest can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a guest cannot have {size} bytes of memory: it takes a multiple of {PAGE_SIZE}, up to {MAX_MEMORY} (3 GiB), and above {IMAGE_BASE} for a guest of guest-rt"
)]
pub struct MemorySizeError {
    /// The size asked for, in bytes.
    pub size: u64,
}

impl MemoryLayout {
    /// Returns the layout of `size` bytes with the two holes.
    ///
    /// # Errors
    ///
    /// No guest can have this size.
    pub fn guarded(size: u32) -> Result<Self, MemorySizeError> {
        check_size(size.into())?;
        match size > IMAGE_BASE {
            true => Ok(Self { size, end: size, guarded: true }),
            false => Err(MemorySizeError { size: size.into() }),
        }
    }

    /// Returns the layout of `size` bytes without holes, and of `reserved` bytes for the host behind them.
    ///
    /// # Errors
    ///
    /// As [`guarded`](Self::guarded).
    pub fn flat(size: u32, reserved: u32) -> Result<Self, MemorySizeError> {
        check_size(size.into())?;
        let end = size.checked_add(reserved).ok_or(MemorySizeError { size: size.into() })?;
        Ok(Self { size, end, guarded: false })
    }

    /// Returns the ranges of memory, for the engine.
    pub fn plan(self) -> MemoryPlan {
        match self.guarded {
            true => MemoryPlan {
                ranges: vec![BOOT_INFO.into()..STACK_GUARD.into(), STACK_BOTTOM.into()..self.size.into()],
            },
            false => MemoryPlan::below(self.end.into()),
        }
    }

    /// Returns the guest's size of memory in bytes, holes included.
    pub fn size(self) -> u32 {
        self.size
    }

    /// Returns the kind of memory at an address.
    pub fn kind(self, address: u64) -> MemoryKind {
        match address {
            _ if address >= self.end.into() => MemoryKind::Beyond,
            _ if !self.guarded => MemoryKind::Memory,
            _ if address < u64::from(BOOT_INFO) => MemoryKind::NullPage,
            _ if (u64::from(STACK_GUARD)..u64::from(STACK_BOTTOM)).contains(&address) => {
                MemoryKind::StackGuard
            }
            _ => MemoryKind::Memory,
        }
    }
}

/// Checks that a guest can have this much memory: whole pages, below the addresses of devices.
///
/// # Errors
///
/// No guest can have this size.
pub fn check_size(size: u64) -> Result<u32, MemorySizeError> {
    match u32::try_from(size) {
        Ok(checked @ 1..=MAX_MEMORY) if checked.is_multiple_of(PAGE_SIZE) => Ok(checked),
        _ => Err(MemorySizeError { size }),
    }
}

/// Copies a record out of guest memory.
///
/// # Errors
///
/// Not all of it is memory.
pub(crate) fn read_record<T: FromBytes + IntoBytes>(
    memory: &dyn GuestMemory,
    address: u32,
) -> Result<T, OutOfMemory> {
    let mut record = T::new_zeroed();
    memory.read(address.into(), record.as_mut_bytes())?;
    Ok(record)
}

/// Copies a record into guest memory.
///
/// # Errors
///
/// Not all of it is memory.
pub(crate) fn write_record<T: IntoBytes + Immutable>(
    memory: &mut dyn GuestMemory,
    address: u32,
    record: &T,
) -> Result<(), OutOfMemory> {
    memory.write(address.into(), record.as_bytes())
}

/// Copies a NUL-terminated string of at most `limit` bytes out of guest memory, without its NUL. Returns `None` for a
/// longer one.
///
/// # Errors
///
/// Memory ends before the string does.
pub(crate) fn read_c_string(
    memory: &dyn GuestMemory,
    address: u32,
    limit: u32,
) -> Result<Option<Vec<u8>>, OutOfMemory> {
    const CHUNK: usize = 64;
    let mut string = Vec::new();
    let mut chunk = [0; CHUNK];
    while string.len() <= limit as usize {
        let from = u64::from(address) + string.len() as u64;
        // A chunk beyond the end of memory fails as a whole, and the string may end before: read byte by byte.
        let len = if memory.read(from, &mut chunk).is_ok() { CHUNK } else { 1 };
        memory.read(from, &mut chunk[..len])?;
        match chunk[..len].iter().position(|&byte| byte == 0) {
            Some(end) => {
                string.extend_from_slice(&chunk[..end]);
                return Ok((string.len() <= limit as usize).then_some(string));
            }
            None => string.extend_from_slice(&chunk[..len]),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use guest_abi::layout::DEFAULT_MEMORY;
    use guestlab_cpu::{Cpu, Engine};
    use guestlab_soft::Soft;

    use super::*;

    fn layout() -> MemoryLayout {
        MemoryLayout::guarded(DEFAULT_MEMORY).expect("2 MiB")
    }

    fn guest() -> Box<dyn Cpu> {
        Soft.create(&layout().plan()).expect("memory")
    }

    #[test]
    fn sizes_are_whole_pages_within_bounds() {
        for size in [0, 1, DEFAULT_MEMORY + 1, MAX_MEMORY + PAGE_SIZE] {
            assert_eq!(check_size(size.into()), Err(MemorySizeError { size: size.into() }), "{size:#x}");
            assert!(MemoryLayout::flat(size, PAGE_SIZE).is_err() && MemoryLayout::guarded(size).is_err());
        }
        assert!(MemoryLayout::guarded(IMAGE_BASE).is_err());
        assert_eq!(
            MemoryLayout::guarded(IMAGE_BASE + PAGE_SIZE).map(MemoryLayout::size),
            Ok(IMAGE_BASE + PAGE_SIZE)
        );
        assert_eq!(MemoryLayout::flat(PAGE_SIZE, PAGE_SIZE).map(MemoryLayout::size), Ok(PAGE_SIZE));
    }

    #[test]
    fn flat_memory_has_no_holes_and_ends_with_the_reserved_bytes() {
        let layout = MemoryLayout::flat(DEFAULT_MEMORY, PAGE_SIZE).expect("2 MiB");
        let last = u64::from(DEFAULT_MEMORY + PAGE_SIZE) - 1;
        for address in [0, STACK_GUARD.into(), u64::from(DEFAULT_MEMORY), last] {
            assert_eq!(layout.kind(address), MemoryKind::Memory, "{address:#x}");
        }
        assert_eq!(layout.kind(last + 1), MemoryKind::Beyond);
        assert_eq!(layout.plan(), MemoryPlan::below(last + 1));
    }

    #[test]
    fn the_holes_are_named_and_have_no_memory() {
        for (address, kind) in [
            (0, MemoryKind::NullPage),
            (0xFFF, MemoryKind::NullPage),
            (0x1000, MemoryKind::Memory),
            (STACK_GUARD.into(), MemoryKind::StackGuard),
            (u64::from(STACK_BOTTOM) - 1, MemoryKind::StackGuard),
            (u64::from(DEFAULT_MEMORY) - 1, MemoryKind::Memory),
            (DEFAULT_MEMORY.into(), MemoryKind::Beyond),
            (u64::MAX, MemoryKind::Beyond),
        ] {
            assert_eq!(layout().kind(address), kind, "{address:#x}");
            let is_memory = guest().memory().contains(address, 1);
            assert_eq!(is_memory, kind == MemoryKind::Memory, "{address:#x}");
        }
    }

    #[test]
    fn records_outside_memory_are_refused() {
        let mut guest = guest();
        let last = DEFAULT_MEMORY - 2;
        for address in [0, STACK_GUARD - 2, last, u32::MAX - 1] {
            assert_eq!(
                write_record(guest.memory_mut(), address, &[1_u8; 4]),
                Err(OutOfMemory),
                "{address:#x}"
            );
            assert_eq!(read_record::<[u8; 4]>(guest.memory(), address), Err(OutOfMemory), "{address:#x}");
        }
        write_record(guest.memory_mut(), last, &[5_u8, 6]).expect("the last two bytes");
        assert_eq!(read_record::<[u8; 2]>(guest.memory(), last), Ok([5, 6]));
    }

    #[test]
    fn strings_end_at_their_nul_or_not_at_all() {
        let mut guest = guest();
        guest.memory_mut().write(0x8000, b"text\0").expect("memory");
        guest.memory_mut().write(u64::from(DEFAULT_MEMORY) - 200, &[b'x'; 200]).expect("memory");
        guest.memory_mut().write(u64::from(DEFAULT_MEMORY) - 210, b"end").expect("memory");
        let read = |address, limit| read_c_string(guest.memory(), address, limit);
        assert_eq!(read(0x8000, 100), Ok(Some(b"text".into())));
        assert_eq!(read(0x8004, 100), Ok(Some(Vec::new())));
        assert_eq!(read(DEFAULT_MEMORY - 200, 1000), Err(OutOfMemory), "no NUL before the end");
        assert_eq!(read(DEFAULT_MEMORY - 200, 100), Ok(None), "too long");
        assert_eq!(read(DEFAULT_MEMORY - 210, 100), Ok(Some(b"end".into())), "near the end of memory");
        assert_eq!(read(0x8000, 4), Ok(Some(b"text".into())), "as long as allowed");
        assert_eq!(read(0x8000, 3), Ok(None), "too long");
        assert_eq!(read(0, 100), Err(OutOfMemory), "the null page");
        assert_eq!(read(u32::MAX, 100), Err(OutOfMemory), "no wrap-around");
    }
}
