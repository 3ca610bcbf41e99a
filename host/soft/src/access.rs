//! Accesses to memory: a segment's offset becomes a linear address, that becomes a physical one, and there are bytes or
//! an exit.

use guestlab_cpu::{
    Direction, Exit, Rights,
    state::seg,
    walk::{Hardware, Mapping, Unmapped, walk_on},
};
use x86_64::registers::control::{Cr0Flags, Cr4Flags, EferFlags};

use crate::{
    cpu::{Address, SoftCpu, Translation},
    fault::{Event, GP, PF, SS, Step, fault_code, gp0},
    flags,
    ram::{PAGE, offset},
};

/// The width of guest-physical addresses, as CPUID reports it.
pub(crate) const PHYSICAL_BITS: u32 = 40;

/// The kind of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// It writes.
    pub(crate) write: bool,
    /// It fetches an instruction.
    pub(crate) fetch: bool,
    /// The CPU makes it for itself (a descriptor, a task state segment): the privilege is 0 whatever CPL is.
    pub(crate) system: bool,
}

impl Access {
    pub(crate) const READ: Self = Self { write: false, fetch: false, system: false };
    pub(crate) const WRITE: Self = Self { write: true, ..Self::READ };
    pub(crate) const FETCH: Self = Self { fetch: true, ..Self::READ };
    pub(crate) const SYSTEM_READ: Self = Self { system: true, ..Self::READ };
    pub(crate) const SYSTEM_WRITE: Self = Self { system: true, ..Self::WRITE };
}

impl SoftCpu {
    /// Returns the linear address of `size` bytes at an offset in a segment, if the segment allows the access.
    #[inline]
    pub(crate) fn linear(&self, segment: u8, offset: u64, size: u8, access: Access) -> Step<u64> {
        let index = usize::from(segment);
        let loaded = &self.state.segments[index];
        let last = offset.wrapping_add(u64::from(size) - 1);
        if self.bits == 64 {
            let base = if index < seg::FS { 0 } else { loaded.base };
            let linear = base.wrapping_add(offset);
            return if self.is_canonical(linear) { Ok(linear) } else { Err(self.beyond(segment)) };
        }
        let allows = self.allows[index];
        if !(if access.write { allows.write } else { allows.read }) {
            return Err(gp0());
        }
        let limit = u64::from(loaded.limit);
        let inside = match allows.expands_down {
            false => last <= limit,
            true => {
                let most = if loaded.rights.has(Rights::BIG) { u32::MAX.into() } else { 0xFFFF };
                offset > limit && last <= most
            }
        };
        // An offset of 32 bits cannot wrap inside of one operand.
        if !inside || last < offset {
            return Err(self.beyond(segment));
        }
        Ok(loaded.base.wrapping_add(offset) & u64::from(u32::MAX))
    }

    /// Returns the exception of an address outside of its segment.
    fn beyond(&self, segment: u8) -> Event {
        fault_code(if usize::from(segment) == seg::SS { SS } else { GP }, 0)
    }

    /// Returns true if the upper bits are copies of the highest that is translated (Intel SDM volume 1, 3.3.7.1).
    pub(crate) fn is_canonical(&self, linear: u64) -> bool {
        let unused = if self.state.cr4 & Cr4Flags::L5_PAGING.bits() != 0 { 7 } else { 16 };
        (linear << unused).cast_signed() >> unused == linear.cast_signed()
    }

    /// Returns the linear address of an instruction's bytes.
    pub(crate) fn fetch_address(&self, ip: u64, len: u64) -> Step<u64> {
        if self.bits == 64 {
            return if self.is_canonical(ip) { Ok(ip) } else { Err(gp0()) };
        }
        match self.is_in_code(ip.wrapping_add(len - 1)) {
            true => Ok(self.state.segments[seg::CS].base.wrapping_add(ip) & u64::from(u32::MAX)),
            false => Err(gp0()),
        }
    }

    /// Returns true if an offset is inside of the code segment.
    #[inline]
    pub(crate) fn is_in_code(&self, ip: u64) -> bool {
        self.bits == 64 || ip <= u64::from(self.state.segments[seg::CS].limit)
    }

    /// Translates a linear address, or raises a page fault.
    #[inline]
    pub(crate) fn translate(&mut self, linear: u64, access: Access) -> Step<u64> {
        match self.translated(linear, access) {
            Some(physical) => Ok(physical),
            None => self.walk(linear, access),
        }
    }

    /// Returns the translation of a linear address, if it needs no walk.
    #[inline]
    fn translated(&self, linear: u64, access: Access) -> Option<u64> {
        if !self.has_paging {
            return Some(linear);
        }
        let kept = self.tlb.get(linear)?;
        let is_allowed = (!access.write || kept.dirty)
            && self.allows_access(access, kept.writable, kept.user, kept.executable);
        is_allowed.then_some(kept.frame | linear & 0xFFF)
    }

    /// Walks the page tables, checks the access and sets accessed and dirty bits (Intel SDM volume 3A, 4.6 to 4.8).
    fn walk(&mut self, linear: u64, access: Access) -> Step<u64> {
        let hardware = Hardware { width: PHYSICAL_BITS, pointers: self.directory_pointers() };
        let mapping = match walk_on(hardware, &self.state, &self.ram, linear) {
            Ok(mapping) => mapping,
            Err(Unmapped::Reserved) => return Err(self.page_fault(linear, access, 0b1001)),
            // A table where there is no memory reads as not present, as with KVM.
            Err(Unmapped::NotPresent | Unmapped::NoTable { .. }) => {
                return Err(self.page_fault(linear, access, 0));
            }
            Err(Unmapped::NotCanonical) => return Err(gp0()),
        };
        if !self.allows_access(access, mapping.writable, mapping.user, mapping.executable) {
            return Err(self.page_fault(linear, access, 1));
        }
        self.mark_used(&mapping, access.write)?;
        self.tlb.insert(
            linear,
            Translation {
                frame: mapping.physical & !0xFFF,
                writable: mapping.writable,
                user: mapping.user,
                executable: mapping.executable,
                dirty: access.write || self.is_dirty(&mapping),
                ..Translation::default()
            },
        );
        Ok(mapping.physical)
    }

    /// Returns true if the rights of a page allow an access.
    #[inline]
    fn allows_access(&self, access: Access, writable: bool, user: bool, executable: bool) -> bool {
        let as_user = self.cpl == 3 && !access.system;
        if as_user && !user {
            return false;
        }
        let cr4 = |flag: Cr4Flags| self.state.cr4 & flag.bits() != 0;
        if access.fetch {
            return executable && (as_user || !user || !cr4(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION));
        }
        if !as_user && user && cr4(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION) {
            let is_allowed = !access.system && self.flags.has(flags::AC);
            if !is_allowed {
                return false;
            }
        }
        !access.write || writable || !as_user && self.state.cr0 & Cr0Flags::WRITE_PROTECT.bits() == 0
    }

    /// Returns a page fault: CR2 is the address, the error code says what was tried (Intel SDM volume 3A, 4.7).
    fn page_fault(&mut self, linear: u64, access: Access, present: u16) -> Event {
        let no_execute = self.state.efer & EferFlags::NO_EXECUTE_ENABLE.bits() != 0
            && self.state.cr4 & Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits() != 0;
        let smep = self.state.cr4 & Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION.bits() != 0;
        self.fault_address = linear;
        let bit = |condition: bool, bit: u32| u16::from(condition) << bit;
        let code = present
            | bit(access.write, 1)
            | bit(self.cpl == 3 && !access.system, 2)
            | bit(access.fetch && (no_execute || smep), 4);
        fault_code(PF, code)
    }

    fn mark_used(&mut self, mapping: &Mapping, write: bool) -> Step {
        const ACCESSED: u64 = 1 << 5;
        const DIRTY: u64 = 1 << 6;
        let wide = self.state.cr4 & Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits() != 0;
        // The directory pointers of PAE paging have no such bit.
        let skipped = usize::from(wide && !self.state.is_long());
        let entries = mapping.entries();
        for (index, entry) in entries.iter().enumerate().skip(skipped) {
            let dirty = if write && index + 1 == entries.len() { DIRTY } else { 0 };
            let value = entry.value | ACCESSED | dirty;
            if value != entry.value {
                self.write_physical(entry.address, if wide { 8 } else { 4 }, value)?;
            }
        }
        Ok(())
    }

    fn is_dirty(&self, mapping: &Mapping) -> bool {
        mapping.entries().last().is_some_and(|entry| entry.value & 1 << 6 != 0)
    }

    /// Reads `SIZE` bytes, 1 to 8, at an instruction's address.
    #[inline]
    pub(crate) fn load<const SIZE: usize>(&mut self, address: &Address) -> Step<u64> {
        let linear = self.linear(address.segment, self.offset(address), SIZE as u8, Access::READ)?;
        let start = offset(linear);
        if start <= PAGE - SIZE
            && !self.checks_access
            && let Some(physical) = self.translated(linear, Access::READ)
            && let Some(page) = self.ram.bytes(physical)
        {
            return Ok(little_endian(&page[start..start + SIZE]));
        }
        self.load_with_care(linear, SIZE as u8)
    }

    #[cold]
    fn load_with_care(&mut self, linear: u64, size: u8) -> Step<u64> {
        self.check_access(linear, size, Access::READ)?;
        self.read_linear(linear, size, Access::READ)
    }

    /// Writes `SIZE` bytes, 1 to 8, at an instruction's address.
    #[inline]
    pub(crate) fn store<const SIZE: usize>(&mut self, address: &Address, value: u64) -> Step {
        let linear = self.linear(address.segment, self.offset(address), SIZE as u8, Access::WRITE)?;
        if offset(linear) <= PAGE - SIZE
            && !self.checks_access
            && let Some(physical) = self.translated(linear, Access::WRITE)
            && let Some(is_code) = self.ram.write_in_page(physical, &value.to_le_bytes()[..SIZE])
        {
            if is_code {
                self.drop_code(physical);
            }
            return Ok(());
        }
        self.store_with_care(linear, SIZE as u8, value)
    }

    #[cold]
    fn store_with_care(&mut self, linear: u64, size: u8, value: u64) -> Step {
        self.check_access(linear, size, Access::WRITE)?;
        self.write_linear(linear, size, value, Access::WRITE)
    }

    /// Reads `size` bytes, 1 to 8, at an offset in a segment.
    #[inline]
    pub(crate) fn read(&mut self, segment: u8, offset: u64, size: u8) -> Step<u64> {
        let linear = self.linear(segment, offset, size, Access::READ)?;
        self.check_access(linear, size, Access::READ)?;
        self.read_linear(linear, size, Access::READ)
    }

    /// Reads bytes that are then written: the access is checked as a write.
    #[inline]
    pub(crate) fn read_to_change(&mut self, segment: u8, offset: u64, size: u8) -> Step<u64> {
        let linear = self.linear(segment, offset, size, Access::WRITE)?;
        self.check_access(linear, size, Access::WRITE)?;
        self.read_linear(linear, size, Access::WRITE)
    }

    /// Writes `size` bytes, 1 to 8, at an offset in a segment.
    #[inline]
    pub(crate) fn write(&mut self, segment: u8, offset: u64, size: u8, value: u64) -> Step {
        let linear = self.linear(segment, offset, size, Access::WRITE)?;
        self.check_access(linear, size, Access::WRITE)?;
        self.write_linear(linear, size, value, Access::WRITE)
    }

    /// Reads `size` bytes at a linear address.
    #[inline]
    pub(crate) fn read_linear(&mut self, linear: u64, size: u8, access: Access) -> Step<u64> {
        let physical = self.translate(linear, access)?;
        let (start, len) = (offset(linear), usize::from(size));
        if start + len <= PAGE {
            let Some(page) = self.ram.bytes(physical) else { return self.read_device(physical, size) };
            return Ok(little_endian(&page[start..start + len]));
        }
        let first = (PAGE - start) as u8;
        let second = self.translate(self.next_page(linear), access)?;
        let low = self.read_physical(physical, first)?;
        let high = self.read_physical(second, size - first)?;
        Ok(low | high << (8 * u32::from(first)))
    }

    /// Writes `size` bytes at a linear address. Bytes in two pages are written if both can be.
    #[inline]
    pub(crate) fn write_linear(&mut self, linear: u64, size: u8, value: u64, access: Access) -> Step {
        let physical = self.translate(linear, access)?;
        let start = offset(linear);
        if start + usize::from(size) <= PAGE {
            return self.write_physical(physical, size, value);
        }
        let first = (PAGE - start) as u8;
        let second = self.translate(self.next_page(linear), access)?;
        self.write_physical(physical, first, value)?;
        self.write_physical(second, size - first, value >> (8 * u32::from(first)))
    }

    /// Returns the beginning of the page behind that of a linear address.
    fn next_page(&self, linear: u64) -> u64 {
        let next = (linear | 0xFFF).wrapping_add(1);
        if self.bits == 64 { next } else { next & u64::from(u32::MAX) }
    }

    fn read_physical(&mut self, physical: u64, size: u8) -> Step<u64> {
        let start = offset(physical);
        match self.ram.bytes(physical) {
            Some(page) => Ok(little_endian(&page[start..start + usize::from(size)])),
            None => self.read_device(physical, size),
        }
    }

    pub(crate) fn write_physical(&mut self, physical: u64, size: u8, value: u64) -> Step {
        match self.ram.write_in_page(physical, &value.to_le_bytes()[..usize::from(size)]) {
            Some(false) => Ok(()),
            Some(true) => {
                self.drop_code(physical);
                Ok(())
            }
            None => self.write_device(physical, size, value),
        }
    }

    /// Drops the decoded code of a page that was written.
    #[cold]
    fn drop_code(&mut self, physical: u64) {
        self.cache.drop_page(physical);
        self.stale = true;
    }

    /// A read where there is no memory: an exit, after which the instruction begins again with the answer.
    #[cold]
    fn read_device(&mut self, address: u64, size: u8) -> Step<u64> {
        match self.answered() {
            Some(answer) => Ok(answer),
            None => Err(self.no_memory(address, size, Direction::In)),
        }
    }

    #[cold]
    fn write_device(&mut self, address: u64, size: u8, _: u64) -> Step {
        match self.answered() {
            Some(_) => Ok(()),
            None => Err(self.no_memory(address, size, Direction::Out)),
        }
    }

    fn no_memory(&mut self, address: u64, size: u8, direction: Direction) -> Event {
        self.leave_to_resume(Exit::Mmio { address, len: size.into(), direction })
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    let mut value = [0; 8];
    value[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(value)
}
