//! Runs of one guest with pauses at chosen places.

use std::{collections::HashSet, ops::ControlFlow};

use x86_64::registers::rflags::RFlags;

use super::{
    budget::Budget,
    config::InterruptsConfig,
    subject::{Ending, Subject},
};
use crate::{
    cpu::{EngineError, StateDigest, Until},
    lab::{
        error::Error,
        session::Session,
        vm::{Platform, Vm, VmMoment},
    },
    vmm::{Halt, HvaPolicy, Machine, Parameters, Stop},
};

/// The instructions that a disturbed run may need beyond four times those of the undisturbed one.
const MORE: u64 = 1 << 20;

/// The runs of one guest, in one VM.
pub(super) struct Trials<'a, 's> {
    session: &'a Session<'s>,
    subject: &'a Subject<'a>,
    vm: Vm,
    start: VmMoment,
    budget: Budget,
    /// The number of instructions of the undisturbed run.
    end: u64,
    /// The states at the places that were tried.
    seen: HashSet<StateDigest>,
}

impl<'a, 's> Trials<'a, 's> {
    /// Makes a VM, and runs the guest without interrupts of the search. Returns `None` with the way in which it ended, if it
    /// does not end well.
    pub(super) fn new(
        platform: &Platform,
        config: &InterruptsConfig,
        session: &'a Session<'s>,
        subject: &'a Subject<'a>,
    ) -> Result<Result<Self, Ending>, Error> {
        let arguments = subject.arguments();
        let parameters =
            Parameters { vm: 1, seed: config.seed, memory: config.memory, arguments: &arguments };
        let vm = Vm::new(platform, subject.image, parameters, HvaPolicy::DenySilently)?;
        let budget = Budget::default();
        budget.set(u64::MAX);
        let mut vm = vm.driven_by(Box::new(budget.clone()));
        let counts = || Error::Usage("interrupts are explored on the interpreter: --engine soft".into());
        let start = vm.moment().ok_or_else(counts)?;
        let mut trials = Self { session, subject, vm, start, budget, end: 0, seen: HashSet::new() };
        Ok(match trials.run_on()? {
            Ending::Good => {
                trials.end = trials.instructions();
                trials.budget.set(trials.end.saturating_mul(4).saturating_add(MORE));
                Ok(trials)
            }
            other => Err(other),
        })
    }

    /// Returns the number of instructions of the undisturbed run.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn vm(&mut self) -> &mut Vm {
        &mut self.vm
    }

    fn instructions(&self) -> u64 {
        self.vm.cpu().instructions().unwrap_or_default()
    }

    /// Goes to a place of the run with these pauses. If the guest is before it, it is in such a run.
    pub(super) fn go_to(&mut self, pauses: &[u64], at: u64) -> Result<(), Error> {
        if self.instructions() > at {
            self.vm.return_to(&mut self.start);
        }
        self.vm.set_pauses(pauses);
        while let Some(left) = self.vm.left(at) {
            if self.enter(Until::Count(left))?.is_break() {
                break;
            }
        }
        Ok(self.vm.cpu_mut().complete()?)
    }

    /// Returns the state of now, to return to.
    pub(super) fn keep(&mut self) -> Result<VmMoment, Error> {
        self.vm.moment().ok_or_else(|| Error::Bug("an engine that counts cannot return".into()))
    }

    /// Returns true if the guest was not in its state of now at a place before. The time is not a part of it: it is that for
    /// which the timer is set as soon as the guest has paused.
    pub(super) fn is_new(&mut self) -> Result<bool, Error> {
        let digest = self.vm.digest()?;
        Ok(self.seen.insert(digest))
    }

    pub(super) fn return_to(&mut self, moment: &mut VmMoment) {
        self.vm.return_to(moment);
    }

    /// Goes back to the start.
    pub(super) fn restart(&mut self) {
        self.vm.return_to(&mut self.start);
    }

    /// Runs to the end with these pauses, from where the guest is.
    pub(super) fn run_with(&mut self, pauses: &[u64]) -> Result<Ending, Error> {
        self.vm.set_pauses(pauses);
        self.run_on()
    }

    /// Runs to the end with these pauses, with no limit but the clock's.
    pub(super) fn run_for_long(&mut self, pauses: &[u64]) -> Result<Ending, Error> {
        self.budget.set(u64::MAX);
        self.restart();
        self.run_with(pauses)
    }

    fn run_on(&mut self) -> Result<Ending, Error> {
        self.session.restart_clock();
        let outcome = loop {
            match self.session.run(&mut self.vm, None) {
                Ok(stop) if self.subject.goes_on(&stop) => {}
                outcome => break outcome,
            }
        };
        self.subject.judge(&mut self.vm, outcome)
    }

    /// Returns the places after `from`, from where the guest is to its end: the timer is set there, and the guest takes
    /// interrupts. Returns false if the time was up before the end.
    pub(super) fn places(&mut self, pauses: &[u64], from: u64) -> Result<(Vec<u64>, bool), Error> {
        self.session.restart_clock();
        self.vm.set_pauses(pauses);
        let mut places = Vec::new();
        loop {
            // Only a hypercall sets the timer, which is an exit.
            let until = if self.vm.is_timer_set() { Until::Step } else { Until::Exit };
            match self.enter(until)? {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(Halt::Expired(_)) => return Ok((places, false)),
                ControlFlow::Break(_) => return Ok((places, true)),
            }
            self.vm.cpu_mut().complete()?;
            let at = self.instructions();
            if at > from && places.last() != Some(&at) && is_open(&mut self.vm)? {
                places.push(at);
            }
        }
    }

    /// Enters the guest once. Breaks with the reason if the guest does not go on.
    fn enter(&mut self, until: Until) -> Result<ControlFlow<Halt>, Error> {
        let Self { session, vm, subject, .. } = self;
        let entered = session.watched(|watch| {
            let stop: &dyn Stop = watch;
            vm.enter(until, stop, &mut |_| true)
        })?;
        Ok(match entered {
            ControlFlow::Break(Halt::Stop(stop)) if subject.goes_on(&stop) => ControlFlow::Continue(()),
            ControlFlow::Break(halt) => ControlFlow::Break(halt),
            ControlFlow::Continue(_) => ControlFlow::Continue(()),
        })
    }
}

/// Returns true if the timer's interrupt can come now: it is set, and interrupts are on.
fn is_open(machine: &mut Machine) -> Result<bool, EngineError> {
    if !machine.is_timer_set() || machine.is_timer_due() {
        return Ok(false);
    }
    let state = machine.cpu_mut().state()?;
    Ok(state.flags & RFlags::INTERRUPT_FLAG.bits() != 0 && !state.shadow)
}
