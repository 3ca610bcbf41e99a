//! The directory pointers of PAE paging: the CPU loads all four into registers, and uses those (Intel SDM volume 3A, 4.4.1).

use guestlab_cpu::{
    CpuState,
    walk::{DirectoryPointers, directory_pointers},
};
use x86_64::registers::control::{Cr0Flags, Cr4Flags};

use crate::{
    access::PHYSICAL_BITS,
    cpu::SoftCpu,
    fault::{Step, gp0},
};

/// A write that changes one of these loads the pointers.
const LOADS_BY_CR0: Cr0Flags =
    Cr0Flags::PAGING.union(Cr0Flags::CACHE_DISABLE).union(Cr0Flags::NOT_WRITE_THROUGH);
/// Also of CR4.
const LOADS_BY_CR4: Cr4Flags = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
    .union(Cr4Flags::PAGE_GLOBAL)
    .union(Cr4Flags::PAGE_SIZE_EXTENSION)
    .union(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION);

/// The bits of a pointer that must be 0 if it is present: 1, 2, 5 to 8, and those above physical addresses.
const RESERVED: u64 = 0b1_1110_0110 | !0 << PHYSICAL_BITS;

/// Returns true with PAE paging.
fn is_pae(state: &CpuState) -> bool {
    state.has_paging() && state.cr4 & Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits() != 0 && !state.is_long()
}

impl SoftCpu {
    /// Returns the pointers that are loaded. A state that was set does not have them: they are taken from memory when they
    /// are first used.
    pub(crate) fn directory_pointers(&mut self) -> Option<DirectoryPointers> {
        if self.pointers.is_none() && is_pae(&self.state) {
            self.pointers = directory_pointers(self.state.cr3, &self.ram).ok();
        }
        self.pointers
    }

    /// Loads the pointers for control registers that are about to be set.
    ///
    /// A present one with a reserved bit is #GP, and nothing has changed. Where there is no memory all bits are 1.
    fn load_pointers(&mut self, state: &CpuState) -> Step {
        let pointers = directory_pointers(state.cr3, &self.ram).map_err(|_| gp0())?;
        if pointers.iter().any(|pointer| pointer & 1 != 0 && pointer & RESERVED != 0) {
            return Err(gp0());
        }
        self.pointers = Some(pointers);
        Ok(())
    }

    /// Sets CR3, on the way also of a task switch.
    pub(crate) fn load_cr3(&mut self, value: u64) -> Step {
        let next = CpuState { cr3: value, ..self.state.clone() };
        if is_pae(&next) {
            self.load_pointers(&next)?;
        }
        self.state.cr3 = value;
        self.flush();
        Ok(())
    }

    /// Sees to the pointers before CR0, CR4 or EFER is set.
    pub(crate) fn before_control(&mut self, next: &CpuState) -> Step {
        let cr0 = (self.state.cr0 ^ next.cr0) & LOADS_BY_CR0.bits();
        let cr4 = (self.state.cr4 ^ next.cr4) & LOADS_BY_CR4.bits();
        match is_pae(next) && (cr0 | cr4) != 0 {
            true => self.load_pointers(next),
            false => Ok(()),
        }
    }
}
