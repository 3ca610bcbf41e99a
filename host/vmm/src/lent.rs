//! The placeholder of a vCPU that a machine has lent out.

use std::sync::Arc;

use guestlab_cpu::{
    Breakpoint, Cpu, CpuState, EngineError, Exit, FpuState, GuestMemory, Kick, OutOfMemory, PAGE, Stepped,
    Until,
};

/// The placeholder of a vCPU that is elsewhere: it has no memory, and it does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lent;

impl Lent {
    fn refused<T>() -> Result<T, EngineError> {
        Err(EngineError::Unsupported { engine: "a machine".into(), what: "use a vCPU that it has lent out" })
    }
}

impl Cpu for Lent {
    fn run(&mut self, _: Until) -> Result<Exit, EngineError> {
        Self::refused()
    }

    fn answer(&mut self, _: u32) {}

    fn interrupt(&mut self, _: u8) -> Result<bool, EngineError> {
        Self::refused()
    }

    fn cancel_interrupt(&mut self) {}

    fn complete(&mut self) -> Result<(), EngineError> {
        Self::refused()
    }

    fn state(&mut self) -> Result<CpuState, EngineError> {
        Self::refused()
    }

    fn set_state(&mut self, _: &CpuState) -> Result<(), EngineError> {
        Self::refused()
    }

    fn set_registers(&mut self, _: &CpuState) -> Result<(), EngineError> {
        Self::refused()
    }

    fn set_fpu(&mut self, _: &FpuState) -> Result<(), EngineError> {
        Self::refused()
    }

    fn stepped(&mut self) -> Stepped {
        Stepped::Nothing
    }

    fn set_breakpoints(&mut self, _: &[Breakpoint]) -> Result<(), EngineError> {
        Self::refused()
    }

    fn kick(&self) -> Arc<dyn Kick> {
        Arc::new(Self)
    }

    fn memory(&self) -> &dyn GuestMemory {
        self
    }

    fn memory_mut(&mut self) -> &mut dyn GuestMemory {
        self
    }
}

impl Kick for Lent {
    fn kick(&self) {}
}

impl GuestMemory for Lent {
    fn read(&self, _: u64, _: &mut [u8]) -> Result<(), OutOfMemory> {
        Err(OutOfMemory)
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), OutOfMemory> {
        Err(OutOfMemory)
    }

    fn contains(&self, _: u64, _: usize) -> bool {
        false
    }

    fn pages(&self, _: &mut dyn FnMut(u64, &[u8; PAGE])) {}

    fn clear(&mut self) -> Result<(), EngineError> {
        Self::refused()
    }
}
