//! The vCPU as an engine's [`Cpu`]: runs, single steps and interrupts.

use std::sync::Arc;

use guestlab_cpu::{
    Breakpoint, Cpu, CpuState, EngineError, Exit, FpuState, GuestMemory, Kick, MemoryPlan, Stepped, Until,
};
use kvm_bindings::CpuId;

use crate::{
    debug_registers::{MAX_POINTS, Pace, SINGLE_STEP},
    device::{Announcer, Kvm},
    step::Stepper,
    vcpu::Vcpu,
};

/// One VM with its one vCPU.
pub(crate) struct KvmCpu {
    vcpu: Vcpu,
    /// A copy instead of the device: the device must close with the engine, so that no VM can be created afterwards.
    calls: Announcer,
    points: Vec<Breakpoint>,
    stepper: Stepper,
    /// The last run was a single step.
    is_stepping: bool,
    /// The guest must exit when it can take an interrupt.
    wants_window: bool,
    /// An interrupt is queued for the next entry.
    is_queued: bool,
}

impl KvmCpu {
    /// Creates the VM. Without `features` its CPU has none that `cpuid` reports.
    pub(crate) fn new(
        device: &Kvm,
        memory: &MemoryPlan,
        features: Option<&CpuId>,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            vcpu: Vcpu::new(device, memory, features)?,
            calls: device.calls.clone(),
            points: Vec::new(),
            stepper: Stepper::default(),
            is_stepping: false,
            wants_window: false,
            is_queued: false,
        })
    }

    fn announce_start(&self, state: &CpuState) {
        let (mode, general) = (state.mode().name(), state.start());
        if self.vcpu.takes_with_entry(state) {
            let purpose = format_args!("registers that KVM takes at the first entry: {mode} mode, {general}");
            return self.calls.call("kvm_run", purpose);
        }
        let purpose = format_args!("segments and control registers for {mode} mode");
        self.calls.call("KVM_SET_SREGS", purpose);
        self.calls.call("KVM_SET_REGS", format_args!("{general}"));
    }

    fn run_to_exit(&mut self) -> Result<Exit, EngineError> {
        if std::mem::take(&mut self.is_stepping) {
            self.stepper.stop(&mut self.vcpu)?;
        }
        self.vcpu.request_window(self.wants_window);
        loop {
            match self.points.is_empty() {
                true => self.vcpu.set_pace(&Pace::Free)?,
                false => self.vcpu.set_pace(&Pace::To(self.points.clone()))?,
            }
            match self.vcpu.run()? {
                // No point was met, so the guest has set its own trap flag: the exception is the guest's.
                Exit::Debug { points: 0 } => self.vcpu.raise_debug_exception(SINGLE_STEP)?,
                exit => return Ok(exit),
            }
        }
    }

    fn step(&mut self) -> Result<Exit, EngineError> {
        self.is_stepping = true;
        self.stepper.complete(&mut self.vcpu)?;
        self.vcpu.request_window(false);
        let registers = self.vcpu.registers()?;
        self.stepper.begin(&mut self.vcpu, registers, self.is_queued)?;
        let exit = self.vcpu.run()?;
        self.stepper.left(exit, &mut self.vcpu)
    }
}

impl Cpu for KvmCpu {
    fn run(&mut self, until: Until) -> Result<Exit, EngineError> {
        let exit = match until {
            Until::Exit => self.run_to_exit(),
            Until::Step => self.step(),
            Until::Count(_) => {
                return Err(EngineError::Unsupported { engine: "KVM".into(), what: "count instructions" });
            }
        };
        self.is_queued = false;
        exit
    }

    fn answer(&mut self, value: u32) {
        self.vcpu.answer(value);
    }

    fn interrupt(&mut self, vector: u8) -> Result<bool, EngineError> {
        let may_come = !self.is_stepping || {
            self.stepper.complete(&mut self.vcpu)?;
            self.stepper.takes_interrupt(&self.vcpu.registers()?)
        };
        let is_ready = may_come && !self.is_queued && self.vcpu.is_ready();
        self.wants_window = !is_ready;
        if is_ready {
            self.calls.call("KVM_INTERRUPT", format_args!("vector {vector:#x} for the guest's next entry"));
            self.vcpu.queue_interrupt(vector)?;
            self.is_queued = true;
        }
        Ok(is_ready)
    }

    fn cancel_interrupt(&mut self) {
        self.wants_window = false;
    }

    fn complete(&mut self) -> Result<(), EngineError> {
        match self.is_stepping {
            true => self.stepper.complete(&mut self.vcpu),
            false => self.vcpu.complete(),
        }
    }

    fn state(&mut self) -> Result<CpuState, EngineError> {
        self.vcpu.state()
    }

    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        if self.vcpu.is_new() {
            self.announce_start(state);
        }
        (self.stepper, self.is_stepping) = (Stepper::default(), false);
        (self.wants_window, self.is_queued) = (false, false);
        self.vcpu.set_state(state)
    }

    fn registers(&mut self) -> Result<CpuState, EngineError> {
        self.vcpu.registers()
    }

    fn set_registers(&mut self, registers: &CpuState) -> Result<(), EngineError> {
        self.vcpu.set_registers(registers)
    }

    fn set_fpu(&mut self, fpu: &FpuState) -> Result<(), EngineError> {
        self.vcpu.set_fpu(fpu)
    }

    fn stepped(&mut self) -> Stepped {
        self.stepper.take()
    }

    fn set_breakpoints(&mut self, breakpoints: &[Breakpoint]) -> Result<(), EngineError> {
        if breakpoints.len() > MAX_POINTS {
            return Err(EngineError::Unsupported {
                engine: "KVM".into(),
                what: "set more than 4 breakpoints",
            });
        }
        self.points = breakpoints.into();
        Ok(())
    }

    fn kick(&self) -> Arc<dyn Kick> {
        self.vcpu.kicker()
    }

    fn memory(&self) -> &dyn GuestMemory {
        self.vcpu.memory()
    }

    fn memory_mut(&mut self) -> &mut dyn GuestMemory {
        self.vcpu.memory_mut()
    }
}
