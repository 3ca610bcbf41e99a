//! Who drives a vCPU: the guest alone, a debugger, or a tracer.

use std::time::Instant;

use crate::{
    kvm::{Exit, Vcpu, VcpuError},
    process::watchdog::Registration,
    runlog::event::VmProfile,
    vmm::machine::Halt,
};

/// Owns a vCPU and is asked before each entry.
pub trait Driver: Send {
    /// The vCPU.
    fn vcpu(&self) -> &Vcpu;

    /// The vCPU, to be run.
    fn vcpu_mut(&mut self) -> &mut Vcpu;

    /// The vCPU, if the guest is alone; otherwise the driver that it has.
    ///
    /// # Errors
    ///
    /// That driver.
    fn alone(self: Box<Self>) -> Result<Vcpu, Box<dyn Driver>>;

    /// The guest is about to be entered, unless its time turns out to be up. It may be asked again without
    /// an entry.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    fn enter(&mut self, registration: &Registration<'_>) -> Result<Order, VcpuError>;

    /// Whether [`enter`](Self::enter) may take long, as where a person is asked: time that no exit is charged.
    fn takes_time(&self) -> bool {
        true
    }

    /// When it wants to be asked again, even if the guest has not left by then.
    fn wakes(&self) -> Option<Instant> {
        None
    }

    /// Whether an interrupt that is due may be injected into the entry that comes.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter).
    fn takes_interrupt(&mut self) -> Result<bool, VcpuError> {
        Ok(true)
    }

    /// The guest left; returns what that is to the host.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter).
    fn left(&mut self, exit: Exit) -> Result<Exit, VcpuError>;

    /// The guest's run is over, for now or for good.
    ///
    /// # Errors
    ///
    /// As [`enter`](Self::enter).
    fn halted(&mut self, halt: &Halt, registration: &Registration<'_>) -> Result<Order, VcpuError>;

    /// The number of instructions so far, if every one of them was a step.
    fn stepped(&self) -> Option<u64> {
        None
    }

    /// What it counted, if it counts.
    fn profile(&self) -> Option<VmProfile> {
        None
    }
}

/// What is to be done with a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It goes on.
    Run,
    /// Its run ends.
    Kill,
}

/// The guest alone.
impl Driver for Vcpu {
    fn vcpu(&self) -> &Vcpu {
        self
    }

    fn vcpu_mut(&mut self) -> &mut Vcpu {
        self
    }

    fn alone(self: Box<Self>) -> Result<Vcpu, Box<dyn Driver>> {
        Ok(*self)
    }

    fn enter(&mut self, _: &Registration<'_>) -> Result<Order, VcpuError> {
        Ok(Order::Run)
    }

    fn takes_time(&self) -> bool {
        false
    }

    fn left(&mut self, exit: Exit) -> Result<Exit, VcpuError> {
        Ok(exit)
    }

    fn halted(&mut self, _: &Halt, _: &Registration<'_>) -> Result<Order, VcpuError> {
        Ok(Order::Run)
    }
}
