//! Guest memory: mappings of the host that KVM gives to the guest.
//!
//! All access copies, through `vm-memory`. There is never a reference into guest memory, because the guest can change it
//! at any time.

use std::io;

use guestlab_cpu::{EngineError, GuestMemory, MemoryPlan, OutOfMemory, PAGE};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

/// The memory of one VM.
#[derive(Debug)]
pub(crate) struct Memory(GuestMemoryMmap);

/// A range of guest memory, and its place in the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    /// The guest-physical address of the first byte.
    pub(crate) guest_address: u64,
    /// The length in bytes.
    pub(crate) len: u64,
    /// The host-virtual address of the first byte.
    pub(crate) host_address: u64,
}

impl Memory {
    /// Maps memory, all zero.
    pub(crate) fn new(plan: &MemoryPlan) -> Result<Self, EngineError> {
        let size = plan.ranges.iter().map(|range| range.end - range.start).sum();
        let failed = |source| EngineError::Memory { size, source };
        let range = |range: &std::ops::Range<u64>| {
            let len = usize::try_from(range.end - range.start).map_err(|error| failed(error.into()))?;
            Ok((GuestAddress(range.start), len))
        };
        let ranges = plan.ranges.iter().map(range).collect::<Result<Vec<_>, _>>()?;
        GuestMemoryMmap::from_ranges(&ranges).map(Self).map_err(|error| failed(error.into()))
    }

    /// Returns the ranges, each of which becomes a memory slot.
    pub(crate) fn regions(&self) -> impl Iterator<Item = Region> {
        self.0.iter().filter_map(|region| {
            let (guest_address, len) = (region.start_addr().0, region.len());
            Some(Region { guest_address, len, host_address: self.host_address(guest_address)? })
        })
    }
}

impl GuestMemory for Memory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), OutOfMemory> {
        self.0.read_slice(buffer, GuestAddress(address)).map_err(|_| OutOfMemory)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), OutOfMemory> {
        // vm-memory would write the part that is in memory.
        if !self.contains(address, bytes.len()) {
            return Err(OutOfMemory);
        }
        self.0.write_slice(bytes, GuestAddress(address)).map_err(|_| OutOfMemory)
    }

    fn contains(&self, address: u64, len: usize) -> bool {
        self.0.check_range(GuestAddress(address), len)
    }

    fn pages(&self, visit: &mut dyn FnMut(u64, &[u8; PAGE])) {
        let mut bytes = [0; PAGE];
        for region in self.0.iter() {
            let (start, end) = (region.start_addr().0, region.start_addr().0 + region.len());
            for address in (start..end).step_by(PAGE) {
                if self.read(address, &mut bytes).is_ok() && bytes != [0; PAGE] {
                    visit(address, &bytes);
                }
            }
        }
    }

    fn clear(&mut self) -> Result<(), EngineError> {
        for region in self.0.iter() {
            // SAFETY: the range is a whole mapping of vm-memory's, private and anonymous: pages that are given back read
            // as zero (madvise(2), MADV_DONTNEED). There is no reference into it: see this module's head.
            let outcome =
                unsafe { libc::madvise(region.as_ptr().cast(), region.size(), libc::MADV_DONTNEED) };
            if outcome != 0 {
                return Err(EngineError::Call {
                    call: "madvise of guest memory",
                    source: io::Error::last_os_error().into(),
                });
            }
        }
        Ok(())
    }

    fn host_address(&self, address: u64) -> Option<u64> {
        let host_address = self.0.get_host_address(GuestAddress(address)).ok()?;
        Some(host_address.addr() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        Memory::new(&MemoryPlan { ranges: vec![0x1000..0x5000, 0x8000..0xA000] }).expect("24 KiB")
    }

    #[test]
    fn access_outside_memory_is_refused_and_touches_nothing() {
        let mut memory = memory();
        for address in [0, 0x4FFE, 0x7FFE, 0x9FFE, u64::MAX - 1] {
            assert_eq!(memory.write(address, &[1; 4]), Err(OutOfMemory), "{address:#x}");
            assert_eq!(memory.read(address, &mut [0; 4]), Err(OutOfMemory), "{address:#x}");
        }
        let mut last = [9; 2];
        memory.read(0x9FFE, &mut last).expect("memory");
        assert_eq!(last, [0, 0]);
        memory.write(0x9FFE, &[5, 6]).expect("memory");
        memory.read(0x9FFE, &mut last).expect("memory");
        assert_eq!(last, [5, 6]);
    }

    #[test]
    fn cleared_memory_is_zero_and_can_be_used_again() {
        let mut memory = memory();
        for address in [0x1000, 0x8000] {
            memory.write(address, &[1; 4]).expect("memory");
        }
        memory.clear().expect("the system takes pages back");
        let mut bytes = [9; 4];
        memory.read(0x8000, &mut bytes).expect("memory");
        assert_eq!(bytes, [0; 4]);
        memory.write(0x1000, &[2]).expect("memory");
    }

    #[test]
    fn each_range_is_a_region_with_a_host_address() {
        let memory = memory();
        let regions: Vec<_> = memory.regions().map(|region| (region.guest_address, region.len)).collect();
        assert_eq!(regions, [(0x1000, 0x4000), (0x8000, 0x2000)]);
        assert_eq!(memory.host_address(0x1001), memory.host_address(0x1000).map(|address| address + 1));
        assert_eq!(memory.host_address(0x5000), None);
    }
}
