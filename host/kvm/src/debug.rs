//! Single steps, breakpoints and watchpoints (KVM API, 4.87 `KVM_SET_GUEST_DEBUG`).

use guestlab_cpu::EngineError;
use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_INJECT_DB, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP,
    kvm_guest_debug,
};

use crate::{
    debug_registers::{Pace, TRAP_FLAG, debug_registers},
    device::failed,
    vcpu::Vcpu,
};

impl Vcpu {
    /// Sets the farthest point of the next entries. [`Pace::Step`] must be set before each: on kvm-amd a step over an
    /// emulated instruction loses the trap flag otherwise.
    #[inline]
    pub(crate) fn set_pace(&mut self, pace: &Pace) -> Result<(), EngineError> {
        match *pace == self.pace && *pace != Pace::Step {
            true => Ok(()),
            false => self.change_pace(pace),
        }
    }

    fn change_pace(&mut self, pace: &Pace) -> Result<(), EngineError> {
        let own = self.hidden_trap_flag;
        if *pace == Pace::Step && own.is_none() {
            let flags = self.registers()?.flags;
            self.hidden_trap_flag = Some(flags & TRAP_FLAG != 0);
        }
        let mut debug = kvm_guest_debug::default();
        match pace {
            Pace::Free => {}
            Pace::Step => debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
            Pace::To(points) => {
                debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
                debug.arch.debugreg = debug_registers(points);
            }
        }
        self.set_guest_debug(&debug)?;
        self.pace = pace.clone();
        if *pace != Pace::Step && own.is_some() {
            let registers = self.registers()?;
            self.hidden_trap_flag = None;
            // At the end of a step KVM clears the trap flag, and the guest's own with it.
            if own == Some(true) {
                self.set_registers(&registers)?;
            }
        }
        Ok(())
    }

    /// Raises a debug exception in the guest before its next instruction, and adds these bits to DR6.
    pub(crate) fn raise_debug_exception(&mut self, dr6: u64) -> Result<(), EngineError> {
        self.set_pace(&Pace::Free)?;
        let mut registers = self.fd.get_debug_regs().map_err(failed("KVM_GET_DEBUGREGS"))?;
        registers.dr6 |= dr6;
        self.fd.set_debug_regs(&registers).map_err(failed("KVM_SET_DEBUGREGS"))?;
        self.set_guest_debug(&kvm_guest_debug { control: KVM_GUESTDBG_INJECT_DB, ..Default::default() })
    }

    fn set_guest_debug(&mut self, debug: &kvm_guest_debug) -> Result<(), EngineError> {
        // The call depends on the present registers.
        self.hand_over()?;
        self.fd.set_guest_debug(debug).map_err(failed("KVM_SET_GUEST_DEBUG"))
    }
}
