//! Single steps that are the same on every KVM module. A step ends with a debug exit, or with an exit that the host serves
//! and completes afterwards. kvm_pvm reports no debug exit for the latter.
//!
//! When an exception or an interrupt calls a handler, the CPU pushes the step's own trap flag, and the handler would run
//! without steps. So the guest is stopped at the first instruction of the handler (`handlers.rs`).
//!
//! A guest does not see the step's trap flag, and its own trap flag works as without steps (`flags.rs`).

mod before;
mod calls;
mod flags;
mod handlers;
mod stack;

use guestlab_cpu::{
    CpuState, Delivery, EngineError, Executed, Exit, Stepped,
    instruction::{self, Mnemonic},
};
use x86_64::registers::rflags::RFlags;

use crate::{
    debug_registers::{Pace, SINGLE_STEP},
    vcpu::Vcpu,
};
use before::Before;
use handlers::{Handlers, Stops};

/// The state of single steps between two instructions.
#[derive(Default)]
pub(crate) struct Stepper {
    step: Step,
    handlers: Handlers,
    stops: Stops,
    /// The last instruction inhibits interrupts before the next one.
    shadow: bool,
    /// The DR6 bits of the guest's own debug exception that comes before the next instruction.
    trap: Option<u64>,
}

#[derive(Default)]
enum Step {
    #[default]
    None,
    /// The next entry is one step.
    Begun(Box<Before>),
    /// The instructions were executed up to an exit. The last one must still be completed.
    Left(Vec<Before>),
    /// As [`Left`](Self::Left), but the instructions were returned already.
    Told,
    /// The instructions were executed.
    Over(Vec<Before>),
    /// The next entry delivers this.
    Delivery(Delivery),
    /// A signal came before the delivery.
    Pending(Delivery),
    /// The delivery is complete.
    Delivered(Delivery),
}

impl Stepper {
    /// Prepares one step of a guest with these registers, or a delivery that comes before the next instruction: the queued
    /// interrupt, the guest's own debug exception, or a delivery that a signal prevented.
    pub(crate) fn begin(
        &mut self,
        vcpu: &mut Vcpu,
        registers: CpuState,
        is_queued: bool,
    ) -> Result<(), EngineError> {
        self.stops.lift(vcpu);
        let trap = self.trap.take();
        let pending = match (&self.step, trap) {
            (Step::Pending(delivery), _) => Some(*delivery),
            (_, Some(_)) => Some(Delivery::DebugException),
            _ if is_queued => Some(Delivery::Interrupt),
            _ => None,
        };
        if let Some(delivery) = pending {
            self.stops = self.handlers.stop(vcpu, &registers, |_| false);
            self.step = Step::Delivery(delivery);
            vcpu.set_pace(&Pace::Free)?;
            return trap.map_or(Ok(()), |dr6| vcpu.raise_debug_exception(dr6));
        }
        let before = Before::look(vcpu, registers);
        self.stops = match instruction::raises_nothing(&before.instruction, &before.registers) {
            true => Stops::default(),
            false => self.handlers.stop(vcpu, &before.registers, before.touched()),
        };
        // Every module exits for `hlt`, and kvm_pvm remembers a `hlt` that it stepped over.
        let pace = if before.instruction.mnemonic() == Mnemonic::Hlt { Pace::Free } else { Pace::Step };
        self.step = Step::Begun(Box::new(before));
        vcpu.set_pace(&pace)
    }

    /// Returns true if an interrupt can come before the next step of a guest with these registers.
    pub(crate) fn takes_interrupt(&self, registers: &CpuState) -> bool {
        let is_open = registers.flags & RFlags::INTERRUPT_FLAG.bits() != 0;
        is_open && !self.shadow && self.trap.is_none() && !matches!(self.step, Step::Pending(_))
    }

    /// Returns the exit of a step in its form for the machine.
    pub(crate) fn left(&mut self, exit: Exit, vcpu: &mut Vcpu) -> Result<Exit, EngineError> {
        self.stops.lift(vcpu);
        match std::mem::take(&mut self.step) {
            Step::Begun(before) => self.left_step(before, exit, vcpu),
            Step::Delivery(delivery) => self.left_for_handler(delivery, exit, vcpu),
            _ => Ok(exit),
        }
    }

    fn left_step(&mut self, before: Box<Before>, exit: Exit, vcpu: &mut Vcpu) -> Result<Exit, EngineError> {
        let second = match exit {
            // The exit came before the instruction.
            Exit::Interrupted | Exit::InterruptWindow => return Ok(exit),
            Exit::Debug { .. } | Exit::Out { .. } | Exit::In { .. } | Exit::Halt { .. } => {
                before.follower(vcpu)
            }
            _ => None,
        };
        let is_output = [Some(&*before), second.as_ref()].into_iter().flatten().any(Before::is_output);
        let is_called = match exit {
            Exit::Debug { .. } => !before.branches() && self.arrive(before.end(), vcpu)?,
            Exit::Out { .. } => !is_output && self.arrive_by_output(vcpu)?,
            _ => false,
        };
        self.shadow = false;
        let own_points = match exit {
            Exit::Debug { points } if points != 0 => vcpu.own_points(points)?,
            _ => 0,
        };
        if is_called {
            let executed: Vec<_> = [*before].into_iter().chain(second).collect();
            let raised = flags::hand_over(vcpu, &executed)?;
            // On hardware the step does not end there. On kvm_pvm it does after `int n`, and then a guest that steps itself
            // gets its exception, too.
            let ends = matches!(exit, Exit::Debug { .. }) && executed[raised].has(RFlags::TRAP_FLAG);
            self.trap = ends.then_some(SINGLE_STEP);
            self.step = Step::Over(executed.into_iter().take(raised + 1).collect());
            return Ok(Exit::Debug { points: 0 });
        }
        if !matches!(exit, Exit::Debug { .. }) {
            self.trap = before.has(RFlags::TRAP_FLAG).then_some(SINGLE_STEP);
            self.step = Step::Left([*before].into_iter().chain(second).collect());
            return Ok(exit);
        }
        let at = vcpu.registers()?.instruction();
        if own_points != 0 && at == before.address() && !before.is_repeated() {
            // The guest's own breakpoint, before the instruction.
            self.trap = Some(own_points);
            return Ok(exit);
        }
        // A step that ended in time did so where the second instruction begins.
        let second = second.filter(|second| second.address() != at);
        self.shadow = second.is_none() && before.shadows_next();
        let executed: Vec<_> = [*before].into_iter().chain(second).collect();
        self.trap = flags::settle(vcpu, &executed, own_points)?;
        self.step = Step::Over(executed);
        Ok(exit)
    }

    /// Returns true if the guest is at a stop instead of at the linear address `next`.
    fn arrive(&self, next: u64, vcpu: &mut Vcpu) -> Result<bool, EngineError> {
        let at = vcpu.registers()?.instruction();
        Ok(at != next && self.stops.has(at))
    }

    /// Returns true if an `out` exit came from a stop. Then the guest is set back to the instruction there.
    fn arrive_by_output(&self, vcpu: &mut Vcpu) -> Result<bool, EngineError> {
        let registers = vcpu.registers()?;
        let (at, before) = (registers.instruction(), registers.at(registers.ip.wrapping_sub(1)));
        let there = match (self.stops.has(at), self.stops.has(before.instruction())) {
            (true, _) => registers,
            (false, true) => before,
            (false, false) => return Ok(false),
        };
        vcpu.complete()?;
        vcpu.set_registers(&there)?;
        Ok(true)
    }

    fn left_for_handler(
        &mut self,
        delivery: Delivery,
        exit: Exit,
        vcpu: &mut Vcpu,
    ) -> Result<Exit, EngineError> {
        self.shadow = false;
        let is_delivered = match exit {
            Exit::Out { .. } => self.arrive_by_output(vcpu)?,
            Exit::Interrupted => self.stops.has(vcpu.registers()?.instruction()),
            _ => false,
        };
        self.step = match exit {
            _ if is_delivered => Step::Delivered(delivery),
            Exit::Interrupted => Step::Pending(delivery),
            _ => Step::None,
        };
        Ok(if is_delivered { Exit::Debug { points: 0 } } else { exit })
    }

    /// Ends single steps: the guest runs freely from now on.
    pub(crate) fn stop(&mut self, vcpu: &mut Vcpu) -> Result<(), EngineError> {
        self.stops.lift(vcpu);
        let trap = std::mem::take(self).trap;
        vcpu.set_pace(&Pace::Free)?;
        trap.map_or(Ok(()), |dr6| vcpu.raise_debug_exception(dr6))
    }

    /// Completes the last instruction of the step.
    pub(crate) fn complete(&mut self, vcpu: &mut Vcpu) -> Result<(), EngineError> {
        match std::mem::take(&mut self.step) {
            Step::Left(executed) => {
                self.step = Step::Over(executed);
                vcpu.complete()
            }
            Step::Told => vcpu.complete(),
            step => {
                self.step = step;
                Ok(())
            }
        }
    }

    /// Takes the events of the last step. Its last instruction may be incomplete, so that a debugger sees the guest as it
    /// exited.
    pub(crate) fn take(&mut self) -> Stepped {
        let instructions =
            |all: Vec<Before>| Stepped::Instructions(all.into_iter().map(Executed::from).collect());
        match std::mem::take(&mut self.step) {
            Step::Delivered(delivery) => Stepped::Delivery(delivery),
            Step::Over(executed) => instructions(executed),
            Step::Left(executed) => {
                self.step = Step::Told;
                instructions(executed)
            }
            step => {
                self.step = step;
                Stepped::Nothing
            }
        }
    }
}

impl From<Before> for Executed {
    fn from(Before { registers, code, .. }: Before) -> Self {
        Self { before: registers, code }
    }
}
