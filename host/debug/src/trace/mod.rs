//! A tracer: the guest is stepped, each instruction shown, and counted by its function.
//!
//! A repeated string instruction is one instruction, however often it is repeated: modules differ in how many
//! repetitions a step has. One that faults and is begun again is two.

mod format;
mod output;
mod profile;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::debug::trace::{format::Line, output::Lines, profile::Count};
use crate::{
    debug::{
        crash_report::{Origin, Piece},
        driver::{Driver, Order},
    },
    kvm::{
        Exit, Registers, System, Vcpu, VcpuError,
        step::{Before, Passed, Stepper, probe},
    },
    lab::error::Error,
    process::watchdog::Registration,
    runlog::event::VmProfile,
    vmm::{
        hypercall::Stop,
        machine::{Halt, Machine},
    },
};

/// What is to be traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The instructions that are shown, if any are.
    pub shown: Option<Shown>,
    /// Whether instructions are counted.
    pub profile: bool,
}

/// Which instructions are shown, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The number of instructions after which no more are shown; `None` is no limit.
    pub limit: Option<u64>,
    /// The file that they go to; `None` is standard error.
    pub file: Option<PathBuf>,
}

/// Has the machines of a run traced.
///
/// # Errors
///
/// This machine's KVM does not step guests, or the trace's file cannot be made.
pub fn traced(system: &System, plan: &Plan, machines: Vec<Machine>) -> Result<Vec<Machine>, Error> {
    machines.iter().try_for_each(|machine| probe::steps(system, machine.mode()))?;
    let many = machines.len() > 1;
    let lines = plan.shown.as_ref().map(Lines::open).transpose()?.map(|lines| Arc::new(Mutex::new(lines)));
    let tracer = |machine: Machine| {
        let origin = machine.origin().clone();
        let pieces = origin.pieces();
        let tracer = Tracer {
            origin,
            label: if many { format!("VM {:<2} ", machine.vm()) } else { String::new() },
            lines: lines.clone(),
            count: plan.profile.then(|| Count::new(&pieces)),
            pieces,
            stepper: Stepper::default(),
            begun: None,
            stepped: 0,
            is_over: false,
            flushes: false,
        };
        machine.driven_by(|vcpu| Box::new(Traced { vcpu, tracer }))
    };
    Ok(machines.into_iter().map(tracer).collect())
}

/// A vCPU that is traced.
struct Traced {
    vcpu: Vcpu,
    tracer: Tracer,
}

struct Tracer {
    /// The image, for the names of functions.
    origin: Origin,
    /// What lines begin with.
    label: String,
    lines: Option<Arc<Mutex<Lines>>>,
    count: Option<Count>,
    pieces: Vec<Piece>,
    stepper: Stepper,
    /// A repeated string instruction that has begun.
    begun: Option<Before>,
    /// The number of instructions so far.
    stepped: u64,
    /// Whether the guest is no longer stepped.
    is_over: bool,
    /// Whether the guest left for the host to do something, before which lines are to be read.
    flushes: bool,
}

impl Tracer {
    /// Instructions were executed; `after` are the registers now, where the last is completed.
    fn passed(&mut self, mut all: Vec<Before>, after: Option<&Registers>) {
        let Some(before) = all.pop() else { return };
        all.iter().for_each(|before| self.executed(before, None));
        let first = match self.begun.take() {
            Some(begun) if begun.address() == before.address() => begun,
            _ => before,
        };
        match after {
            Some(after) if first.is_repeated() && after.instruction() == first.address() => {
                self.begun = Some(first);
            }
            _ => self.executed(&first, after),
        }
    }

    fn executed(&mut self, before: &Before, after: Option<&Registers>) {
        self.stepped += 1;
        let address = before.address();
        let piece = self.pieces.partition_point(|piece| piece.start <= address).checked_sub(1);
        let piece = piece.filter(|&piece| address < self.pieces[piece].end);
        if let Some(count) = &mut self.count {
            count.add(address, piece);
        }
        let piece = piece.map(|piece| &self.pieces[piece]);
        if let Some(mut lines) = self.lines().filter(|lines| lines.takes_more()) {
            lines.instruction(&format!("{}{}", self.label, Line { before, after, piece }));
        }
    }

    fn lines(&self) -> Option<MutexGuard<'_, Lines>> {
        // Lines are whole at any point at which a thread could panic.
        Some(self.lines.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn shows(&self) -> bool {
        self.lines().is_some_and(|lines| lines.takes_more())
    }

    fn flush(&self) {
        if let Some(mut lines) = self.lines() {
            lines.flush();
        }
    }
}

impl Traced {
    /// Takes note of what happened since the last entry, and begins the next step.
    fn step(&mut self) -> Result<(), VcpuError> {
        let Self { vcpu, tracer } = self;
        let passed = tracer.stepper.end(vcpu)?;
        let registers = vcpu.registers()?;
        match passed {
            Passed::Nothing => {}
            Passed::Instructions(all) => tracer.passed(all, Some(&registers)),
            Passed::Delivery(delivery) => {
                if let Some(mut lines) = tracer.lines().filter(|lines| lines.takes_more()) {
                    lines.remark(&format!("{}{}", tracer.label, format::delivery(delivery)));
                }
            }
        }
        tracer.is_over = tracer.count.is_none() && !tracer.shows();
        if tracer.is_over {
            return tracer.stepper.stop(vcpu);
        }
        tracer.stepper.begin(vcpu, registers)
    }
}

impl Driver for Traced {
    fn vcpu(&self) -> &Vcpu {
        &self.vcpu
    }

    fn vcpu_mut(&mut self) -> &mut Vcpu {
        &mut self.vcpu
    }

    fn alone(self: Box<Self>) -> Result<Vcpu, Box<dyn Driver>> {
        Err(self)
    }

    fn enter(&mut self, registration: &Registration<'_>) -> Result<Order, VcpuError> {
        if registration.expiry().is_none() && !self.tracer.is_over {
            // Lines are not to be interrupted by what is to interrupt the guest.
            registration.set_alarm(None);
            self.step()?;
            if std::mem::take(&mut self.tracer.flushes) {
                self.tracer.flush();
            }
        }
        Ok(Order::Run)
    }

    fn takes_interrupt(&mut self) -> Result<bool, VcpuError> {
        match self.tracer.is_over {
            true => Ok(true),
            false => self.tracer.stepper.takes_interrupt(&mut self.vcpu),
        }
    }

    fn left(&mut self, exit: Exit) -> Result<Exit, VcpuError> {
        let exit = self.tracer.stepper.left(exit, &mut self.vcpu)?;
        self.tracer.flushes |= !matches!(exit, Exit::Debug { .. } | Exit::Interrupted);
        Ok(exit)
    }

    fn halted(&mut self, halt: &Halt, registration: &Registration<'_>) -> Result<Order, VcpuError> {
        registration.set_alarm(None);
        let Self { vcpu, tracer } = self;
        let last = tracer.stepper.last(vcpu);
        let after = matches!(halt, Halt::Stop(_)).then(|| vcpu.registers()).transpose()?;
        tracer.passed(last, after.as_ref());
        // What it had begun it will not go on with, or not now.
        if let Some(begun) = tracer.begun.take() {
            tracer.executed(&begun, None);
        }
        tracer.flush();
        if let Some(count) = &mut tracer.count {
            match halt {
                Halt::Stop(Stop::Attached) => count.booted(),
                Halt::Stop(Stop::TurnEnded) => count.turn_ended(),
                _ => {}
            }
        }
        Ok(Order::Run)
    }

    fn stepped(&self) -> Option<u64> {
        (!self.tracer.is_over).then_some(self.tracer.stepped)
    }

    fn profile(&self) -> Option<VmProfile> {
        let Tracer { count, pieces, origin, .. } = &self.tracer;
        Some(count.as_ref()?.profile(pieces, |addresses| origin.functions(addresses)))
    }
}
