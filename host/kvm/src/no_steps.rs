//! No single steps: the feature `steps` is off.

use guestlab_cpu::{CpuState, EngineError, Exit, Stepped};

use crate::vcpu::Vcpu;

#[derive(Default)]
pub(crate) struct Stepper {}

impl Stepper {
    pub(crate) fn begin(&mut self, _: &mut Vcpu, _: CpuState, _: bool) -> Result<(), EngineError> {
        Err(EngineError::Unsupported {
            engine: "KVM".into(),
            what: "step: guestlab-kvm was built without its feature `steps`",
        })
    }

    pub(crate) fn left(&mut self, exit: Exit, _: &mut Vcpu) -> Result<Exit, EngineError> {
        Ok(exit)
    }

    pub(crate) fn complete(&mut self, vcpu: &mut Vcpu) -> Result<(), EngineError> {
        vcpu.complete()
    }

    pub(crate) fn stop(&mut self, _: &mut Vcpu) -> Result<(), EngineError> {
        Ok(())
    }

    pub(crate) fn takes_interrupt(&self, _: &CpuState) -> bool {
        true
    }

    pub(crate) fn take(&mut self) -> Stepped {
        Stepped::Nothing
    }
}
