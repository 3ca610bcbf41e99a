//! The whole state of a vCPU, read and set.

use guestlab_cpu::{CpuState, EngineError, FpuState, Rights, state::seg};
use kvm_bindings::{Msrs, kvm_vcpu_events};
use kvm_ioctls::SyncReg;
use x86_64::registers::control::Cr0Flags;

use super::Vcpu;
use crate::{debug_registers::TRAP_FLAG, device::failed, regs, xsave};

/// KVM_VCPUEVENT_VALID_SHADOW: the interrupt shadow in the events is to be set.
const VALID_SHADOW: u32 = 4;

impl Vcpu {
    /// Returns the whole state.
    pub(crate) fn state(&mut self) -> Result<CpuState, EngineError> {
        let registers = self.registers()?;
        let area = self.fd.get_xsave().map_err(failed("KVM_GET_XSAVE"))?;
        let debug = self.fd.get_debug_regs().map_err(failed("KVM_GET_DEBUGREGS"))?;
        let events = self.fd.get_vcpu_events().map_err(failed("KVM_GET_VCPU_EVENTS"))?;
        let mut msrs = entries(&regs::msrs(&guestlab_cpu::Msrs::default()));
        let count = self.fd.get_msrs(&mut msrs).map_err(failed("KVM_GET_MSRS"))?;
        Ok(CpuState {
            fpu: xsave::read(&area),
            debug: regs::read_debug(&debug),
            msrs: regs::read_msrs(&msrs.as_slice()[..count]),
            shadow: events.interrupt.shadow != 0,
            ..registers
        })
    }

    /// Sets the whole state. For a new vCPU, registers that keep their value after reset need no call.
    pub(crate) fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        if !self.is_new {
            self.abandon()?;
        }
        self.known = None;
        // KVM told this of the state before.
        self.fd.get_kvm_run().ready_for_interrupt_injection = 0;
        // Without an interrupt controller each entry takes it from here.
        self.fd.get_kvm_run().cr8 = state.cr8;
        self.hidden_trap_flag = self.hidden_trap_flag.map(|_| state.flags & TRAP_FLAG != 0);
        let takes_with_entry = self.takes_with_entry(state);
        let (system, general) = (regs::system(state), regs::general(state));
        if takes_with_entry {
            let registers = self.fd.sync_regs_mut();
            (registers.sregs, registers.regs) = (system, general);
            self.fd.set_sync_dirty_reg(SyncReg::SystemRegister);
            self.fd.set_sync_dirty_reg(SyncReg::Register);
        } else {
            // Registers that wait there from an earlier call would replace these.
            self.fd.clear_sync_dirty_reg(SyncReg::SystemRegister);
            self.fd.clear_sync_dirty_reg(SyncReg::Register);
            self.fd.set_sregs(&system).map_err(failed("KVM_SET_SREGS"))?;
            self.fd.set_regs(&general).map_err(failed("KVM_SET_REGS"))?;
        }
        let reset = CpuState::reset();
        if !self.is_new || state.fpu != reset.fpu {
            self.set_fpu(&state.fpu)?;
        }
        if !self.is_new || state.debug != reset.debug {
            let debug = regs::write_debug(&state.debug);
            self.fd.set_debug_regs(&debug).map_err(failed("KVM_SET_DEBUGREGS"))?;
        }
        if !self.is_new || state.shadow {
            let mut events = kvm_vcpu_events { flags: VALID_SHADOW, ..Default::default() };
            events.interrupt.shadow = u8::from(state.shadow);
            if takes_with_entry {
                self.fd.sync_regs_mut().events = events;
                self.fd.set_sync_dirty_reg(SyncReg::VcpuEvents);
            } else {
                self.fd.set_vcpu_events(&events).map_err(failed("KVM_SET_VCPU_EVENTS"))?;
            }
        }
        if !self.is_new || state.msrs != reset.msrs {
            self.set_msrs(&state.msrs)?;
        }
        Ok(())
    }

    /// Returns true if KVM takes the general and the system registers of a state at the next entry, from the run structure
    /// (KVM API, 5. "The kvm_run structure", `kvm_dirty_regs`). Each call to a vCPU makes KVM load it, so that two or three
    /// calls less are worth it. A state that KVM could refuse is set by a call, which reports that.
    pub(crate) fn takes_with_entry(&self, state: &CpuState) -> bool {
        const PROTECTION: u64 = Cr0Flags::PROTECTED_MODE_ENABLE.bits() | Cr0Flags::EXTENSION_TYPE.bits();
        let is_64_bit = state.segments[seg::CS].rights.has(Rights::LONG);
        let is_plain = state.cr0 & !PROTECTION == 0 && (state.cr4, state.efer) == (0, 0);
        self.takes_registers && is_plain && !is_64_bit
    }

    /// Makes KVM take registers that wait in the run structure now, by an entry that exits at once.
    pub(crate) fn hand_over(&mut self) -> Result<(), EngineError> {
        match self.fd.get_kvm_run().kvm_dirty_regs {
            0 => Ok(()),
            _ => self.complete(),
        }
    }

    /// Sets the registers of x87 and SSE.
    pub(crate) fn set_fpu(&self, fpu: &FpuState) -> Result<(), EngineError> {
        let mut area = self.fd.get_xsave().map_err(failed("KVM_GET_XSAVE"))?;
        xsave::write(fpu, &mut area);
        // SAFETY: KVM reads no more than the 4096 bytes of this type, because the process has no processor feature
        // that must be asked for (`arch_prctl`), such as AMX.
        unsafe { self.fd.set_xsave(&area) }.map_err(failed("KVM_SET_XSAVE"))
    }

    /// Sets model-specific registers. A register that KVM does not have must be 0.
    fn set_msrs(&self, msrs: &guestlab_cpu::Msrs) -> Result<(), EngineError> {
        let all = regs::msrs(msrs);
        let count = self.fd.set_msrs(&entries(&all)).map_err(failed("KVM_SET_MSRS"))?;
        match all[count..].iter().all(|entry| entry.data == 0) {
            true => Ok(()),
            false => Err(EngineError::Unsupported {
                engine: "KVM here".into(),
                what: "set a model-specific register that the state has",
            }),
        }
    }
}

pub(crate) fn entries(entries: &[kvm_bindings::kvm_msr_entry]) -> Msrs {
    Msrs::from_entries(entries).expect("fewer entries than there may be")
}
