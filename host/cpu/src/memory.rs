//! Guest memory, as engines offer it.

use alloc::vec::Vec;

use guest_abi::layout::PAGE_SIZE;

use crate::{
    digest::{StateDigest, StateHasher},
    error::EngineError,
};

/// The size of a page in bytes.
pub const PAGE: usize = PAGE_SIZE as usize;

/// The memory of a VM: ranges of guest-physical addresses, page-aligned, in order and without overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The ranges. An access outside of them is an [`Exit::Mmio`](crate::Exit::Mmio).
    pub ranges: Vec<core::ops::Range<u64>>,
}

impl MemoryPlan {
    /// Returns memory from address 0 to `end`, without holes.
    pub fn below(end: u64) -> Self {
        Self { ranges: core::iter::once(0..end).collect() }
    }
}

/// Copying access to guest memory. There is no reference into it.
pub trait GuestMemory {
    /// Copies bytes from a guest-physical address.
    ///
    /// # Errors
    ///
    /// The bytes are not all in memory. Then `buffer` holds nothing of use.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), OutOfMemory>;

    /// Copies bytes to a guest-physical address, all or none.
    ///
    /// # Errors
    ///
    /// The bytes would not all be in memory.
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), OutOfMemory>;

    /// Returns true if all of a range is memory.
    fn contains(&self, address: u64, len: usize) -> bool;

    /// Calls `visit` with the guest-physical address and the bytes of each page that is not all zero, in the order of the
    /// addresses.
    fn pages(&self, visit: &mut dyn FnMut(u64, &[u8; PAGE]));

    /// Returns the digest of all bytes.
    fn digest(&self) -> StateDigest {
        let mut pages = Vec::new();
        self.pages(&mut |address, bytes| pages.push((address, StateHasher::of(&bytes[..]))));
        StateHasher::of(&pages)
    }

    /// Sets all memory to zero, as it was when it was new.
    ///
    /// # Errors
    ///
    /// The system refused the call.
    fn clear(&mut self) -> Result<(), EngineError>;

    /// Returns the address at which the host process has a byte of guest memory, if it has one.
    fn host_address(&self, address: u64) -> Option<u64> {
        let _ = address;
        None
    }
}

/// An access that is not entirely inside guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access is not entirely inside guest memory")]
pub struct OutOfMemory;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One range of memory, to be read.
    pub(crate) struct Ram {
        pub(crate) start: u64,
        pub(crate) bytes: Vec<u8>,
    }

    impl GuestMemory for Ram {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), OutOfMemory> {
            let start = address.checked_sub(self.start).and_then(|start| usize::try_from(start).ok());
            let start = start.ok_or(OutOfMemory)?;
            buffer.copy_from_slice(self.bytes.get(start..start + buffer.len()).ok_or(OutOfMemory)?);
            Ok(())
        }

        fn write(&mut self, _: u64, _: &[u8]) -> Result<(), OutOfMemory> {
            Err(OutOfMemory)
        }

        fn contains(&self, _: u64, _: usize) -> bool {
            false
        }

        fn pages(&self, _: &mut dyn FnMut(u64, &[u8; PAGE])) {}

        fn clear(&mut self) -> Result<(), EngineError> {
            self.bytes.fill(0);
            Ok(())
        }
    }
}
