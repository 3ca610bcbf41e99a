//! Runners: the ways to drive a machine. It runs freely, under gdb, or instruction by instruction.

use std::ops::ControlFlow;

use guestlab_cpu::EngineError;
use guestlab_runlog::event::VmProfile;
use guestlab_vmm::{Console, Halt, Machine, Stop};

use crate::crash_report::LastInstructions;

/// A watch over a machine whose clock can be stopped while a person thinks.
pub trait Watch: Stop {
    /// Stops the clock of the run and of the turn until the pause is dropped.
    fn pause(&self) -> Box<dyn Pause + '_>;
}

/// A clock that stands still until it is dropped.
pub trait Pause {}

/// A way to drive a machine from one stop to the next.
pub trait Runner: Send {
    /// Runs a machine until its guest stops, or must stop.
    ///
    /// # Errors
    ///
    /// The engine failed.
    fn run(
        &mut self,
        machine: &mut Machine,
        watch: &dyn Watch,
        console: &mut Console<'_>,
    ) -> Result<Halt, EngineError>;

    /// Shows a guest's end, by its best name, to the runner's user. Returns the end, or [`Halt::Killed`]; or `Continue`: the user
    /// went back in time, and the machine runs again.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    fn halted(
        &mut self,
        machine: &mut Machine,
        halt: Halt,
        watch: &dyn Watch,
    ) -> Result<ControlFlow<Halt>, EngineError> {
        let _ = (machine, watch);
        Ok(ControlFlow::Break(halt))
    }

    /// The run is over, and the machine does not run again.
    fn finish(&mut self, machine: &mut Machine) {
        let _ = machine;
    }

    /// Returns the number of instructions so far, if each of them was a step.
    fn stepped(&self) -> Option<u64> {
        None
    }

    /// Returns the last instructions, if the runner keeps them.
    fn last_instructions(&self) -> LastInstructions {
        LastInstructions::default()
    }

    /// Returns the counts of instructions, if the runner counts. The number and the name of the VM are left out.
    fn profile(&self) -> Option<VmProfile> {
        None
    }
}

/// The machine runs freely.
pub struct Free;

impl Runner for Free {
    fn run(
        &mut self,
        machine: &mut Machine,
        watch: &dyn Watch,
        console: &mut Console<'_>,
    ) -> Result<Halt, EngineError> {
        machine.run(watch, console)
    }
}
