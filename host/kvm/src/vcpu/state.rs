//! The whole state of a vCPU, read and set.

use guestlab_cpu::{CpuState, EngineError, FpuState};
use kvm_bindings::{Msrs, kvm_vcpu_events};

use super::Vcpu;
use crate::{debug_registers::TRAP_FLAG, device::failed, regs};

/// KVM_VCPUEVENT_VALID_SHADOW: the interrupt shadow in the events is to be set.
const VALID_SHADOW: u32 = 4;

impl Vcpu {
    /// Returns the whole state.
    pub(crate) fn state(&mut self) -> Result<CpuState, EngineError> {
        let registers = self.registers()?;
        let fpu = self.fd.get_fpu().map_err(failed("KVM_GET_FPU"))?;
        let debug = self.fd.get_debug_regs().map_err(failed("KVM_GET_DEBUGREGS"))?;
        let events = self.fd.get_vcpu_events().map_err(failed("KVM_GET_VCPU_EVENTS"))?;
        let mut msrs = entries(&regs::msrs(&guestlab_cpu::Msrs::default()));
        let count = self.fd.get_msrs(&mut msrs).map_err(failed("KVM_GET_MSRS"))?;
        Ok(CpuState {
            fpu: regs::read_fpu(&fpu),
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
        self.hidden_trap_flag = self.hidden_trap_flag.map(|_| state.flags & TRAP_FLAG != 0);
        let system = regs::system(state, &self.template);
        self.fd.set_sregs(&system).map_err(failed("KVM_SET_SREGS"))?;
        self.fd.set_regs(&regs::general(state)).map_err(failed("KVM_SET_REGS"))?;
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
            self.fd.set_vcpu_events(&events).map_err(failed("KVM_SET_VCPU_EVENTS"))?;
        }
        if !self.is_new || state.msrs != reset.msrs {
            self.set_msrs(&state.msrs)?;
        }
        Ok(())
    }

    /// Sets the registers of x87 and SSE.
    pub(crate) fn set_fpu(&self, fpu: &FpuState) -> Result<(), EngineError> {
        self.fd.set_fpu(&regs::write_fpu(fpu)).map_err(failed("KVM_SET_FPU"))
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
