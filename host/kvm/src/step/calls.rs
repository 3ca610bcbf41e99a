//! Calls to KVM that only single steps need.

use guestlab_cpu::{CpuState, EngineError, walk};

use crate::{
    debug_registers::MAX_POINTS,
    device::failed,
    regs,
    vcpu::{Vcpu, state::entries},
};

impl Vcpu {
    /// Returns, as bits, those of some points that the guest itself has set in its debug registers.
    pub(crate) fn own_points(&self, points: u64) -> Result<u64, EngineError> {
        let dr7 = self.fd.get_debug_regs().map_err(failed("KVM_GET_DEBUGREGS"))?.dr7;
        let enabled = (0..MAX_POINTS).filter(|index| dr7 >> (2 * index) & 0b11 != 0);
        Ok(enabled.fold(0, |all, index| all | 1 << index) & points)
    }

    /// Returns the flags that `syscall` clears (the register SFMASK), or 0 without such a register.
    pub(crate) fn syscall_mask(&self) -> Result<u64, EngineError> {
        const SFMASK: usize = 3;
        let mut msrs = entries(&regs::msrs(&guestlab_cpu::Msrs::default())[SFMASK..=SFMASK]);
        let read = self.fd.get_msrs(&mut msrs).map_err(failed("KVM_GET_MSRS"))?;
        Ok(msrs.as_slice().first().filter(|_| read == 1).map_or(0, |entry| entry.data))
    }

    /// Copies memory from a linear address of a CPU with these registers. Returns the number of bytes before the first
    /// one that is not there.
    pub(crate) fn read_linear(&self, registers: &CpuState, address: u64, buffer: &mut [u8]) -> usize {
        walk::read_linear(registers, self.memory(), address, buffer)
    }

    /// Returns the guest-physical address of a linear one.
    pub(crate) fn physical(&self, registers: &CpuState, address: u64) -> Option<u64> {
        walk::physical(registers, self.memory(), address)
    }
}
