//! The loop that runs the CPU: instructions, breakpoints and interrupts between them, exits.

use alloc::{sync::Arc, vec};
use core::sync::atomic::Ordering;

use guestlab_cpu::{
    Breakpoint, BreakpointKind, Cpu, CpuState, Delivery, EngineError, Executed, Exit, FpuState, GuestMemory,
    Kick, MAX_INSTRUCTION, Stepped, Until, state::seg, walk,
};

use crate::{
    cpu::{Op, SoftCpu},
    fault::{DB, Event, Fault},
    flags::{self, Flags},
};

impl SoftCpu {
    /// Counts a repetition that is not the last. Returns true if the run ends here.
    pub(crate) fn ends_repetition(&mut self) -> bool {
        self.retired += 1;
        self.retired >= self.end
    }

    /// Forgets the answers to the exits of a repetition that is done.
    pub(crate) fn forget_answers(&mut self) {
        self.answers.clear();
        self.used_answers = 0;
    }

    /// Runs until an exit, or until so many instructions have retired.
    fn go(&mut self, end: u64) -> Option<Exit> {
        self.resume();
        loop {
            if self.kicked.0.swap(false, Ordering::Relaxed) {
                return Some(Exit::Interrupted);
            }
            if let Some(exit) = self.before_instruction() {
                return Some(exit);
            }
            if self.retired >= end {
                return None;
            }
            let exit = if self.is_careful() { self.one() } else { self.blocks(end) };
            if exit.is_some() {
                return exit;
            }
            if self.single {
                return None;
            }
        }
    }

    /// Takes the answer to the last exit.
    fn resume(&mut self) {
        self.passed = Some(self.state.instruction()).filter(|_| self.passed.is_some());
        if core::mem::take(&mut self.waits) {
            let answer = core::mem::take(&mut self.answer);
            self.answers.push(answer);
        }
    }

    /// Sees to interrupts and breakpoints between two instructions.
    fn before_instruction(&mut self) -> Option<Exit> {
        let is_open = self.flags.has(flags::IF) && !self.state.shadow && self.answers.is_empty();
        if is_open && let Some(vector) = self.interrupt.take() {
            let exit = self.external_interrupt(vector);
            if self.single && exit.is_none() {
                self.stepped = Stepped::Delivery(Delivery::Interrupt);
                return Some(Exit::Debug { points: 0 });
            }
            return exit;
        }
        if is_open && self.wants_window {
            self.wants_window = false;
            return Some(Exit::InterruptWindow);
        }
        // A step executes its instruction, as on KVM: its user knows where the breakpoints are.
        if self.breakpoints.is_empty() || self.single {
            return None;
        }
        let here = self.state.instruction();
        if self.passed.take() == Some(here) {
            return None;
        }
        let is_met = |point: &Breakpoint| point.kind == BreakpointKind::Execute && point.address == here;
        let points = points(&self.breakpoints, is_met)?;
        self.passed = Some(here);
        Some(Exit::Debug { points })
    }

    /// Returns true if something is to be seen to after each instruction.
    fn is_careful(&self) -> bool {
        self.single
            || self.state.shadow
            || self.wants_window
            || self.flags.has(flags::TF)
            || !self.breakpoints.is_empty()
            || !self.answers.is_empty()
    }

    /// Carries out blocks.
    fn blocks(&mut self, end: u64) -> Option<Exit> {
        // A kick is noticed after so many instructions at the latest.
        let end = end.min(self.retired + 10_000);
        self.end = end;
        while self.retired < end {
            let block = match self.block() {
                Ok(block) => block,
                Err(event) => {
                    self.start = self.state.ip;
                    return self.ended_early(event);
                }
            };
            self.stale = false;
            for op in &block.ops {
                if let Err(event) = self.carry_out(op) {
                    return self.ended_early(event);
                }
                self.retired += 1;
                if self.stale || self.retired >= end {
                    if core::mem::take(&mut self.repeats) {
                        // The instruction goes on: it has not retired.
                        self.state.ip = self.start;
                        self.retired -= 1;
                    }
                    break;
                }
            }
            if self.state.shadow || self.flags.has(flags::TF) || self.wants_window || self.interrupt.is_some()
            {
                return None;
            }
        }
        None
    }

    #[inline]
    fn carry_out(&mut self, op: &Op) -> Result<(), Event> {
        self.start = self.state.ip;
        self.state.ip = self.start.wrapping_add(op.len.into()) & self.ip_mask;
        (op.run)(self, op)
    }

    /// Carries out one instruction, or one repetition of it.
    fn one(&mut self) -> Option<Exit> {
        let (traps, shadow) = (self.flags.has(flags::TF), core::mem::take(&mut self.state.shadow));
        self.used_answers = 0;
        self.repeats = false;
        self.end = self.retired + 1;
        let op = match self.block() {
            Ok(block) => block.ops[0],
            Err(event) => {
                self.start = self.state.ip;
                return self.ended_early(event);
            }
        };
        if let Err(event) = self.carry_out(&op) {
            self.state.shadow |= shadow && self.waits;
            return self.ended_early(event);
        }
        self.answers.clear();
        if self.repeats {
            self.state.ip = self.start;
        } else {
            self.retired += 1;
        }
        if traps {
            // BS: a single step (Intel SDM volume 3B, 17.2.3).
            self.state.debug[6] |= 1 << 14;
            return self.raise(Fault { vector: DB, code: None });
        }
        None
    }

    /// Sees to an instruction that did not end.
    fn ended_early(&mut self, event: Event) -> Option<Exit> {
        match event {
            Event::Fault(fault) => {
                self.state.ip = self.start;
                self.answers.clear();
                self.retired += 1;
                self.raise(fault)
            }
            Event::Exit if self.waits => {
                self.state.ip = self.start;
                self.exit.take()
            }
            Event::Exit => {
                // The instruction is done, and asks for an exit.
                self.answers.clear();
                self.retired += u64::from(self.state.ip != self.start);
                self.exit.take()
            }
            Event::Missing => {
                self.state.ip = self.start;
                self.answers.clear();
                Some(Exit::InternalError { suberror: 1 })
            }
        }
    }

    /// Ends the port access of the last exit. An access to a device in memory is not ended: it can need more answers.
    fn complete_access(&mut self) {
        if self.waits && self.waits_for_port {
            self.resume();
            let single = core::mem::replace(&mut self.single, true);
            self.one();
            self.single = single;
        }
    }

    /// Returns the CPU's time-stamp counter: a function of the instructions retired.
    pub(crate) fn time_stamp(&self) -> u64 {
        self.retired
    }
}

/// Returns a bit for each breakpoint that is met, or nothing if none is.
fn points(breakpoints: &[Breakpoint], is_met: impl Fn(&Breakpoint) -> bool) -> Option<u8> {
    let bit = |(index, point): (usize, &Breakpoint)| if is_met(point) { 1_u8 << index.min(7) } else { 0 };
    let points = breakpoints.iter().enumerate().map(bit).fold(0, |all, bit| all | bit);
    (points != 0).then_some(points)
}

impl SoftCpu {
    /// Runs one instruction, or delivers the interrupt before it.
    fn step(&mut self) -> Option<Exit> {
        (self.stepped, self.passed) = (Stepped::Nothing, None);
        let before = self.snapshot();
        let mut code = [0; MAX_INSTRUCTION];
        walk::read_linear(&before, &self.ram, before.instruction(), &mut code);
        self.single = true;
        let exit = self.go(u64::MAX);
        self.single = false;
        let is_before = matches!(exit, Some(Exit::Interrupted | Exit::InterruptWindow));
        if self.stepped == Stepped::Nothing && !is_before {
            self.stepped = Stepped::Instructions(vec![Executed { before, code }]);
        }
        exit
    }

    fn snapshot(&mut self) -> CpuState {
        self.state.flags = self.flags.get();
        self.state.clone()
    }
}

impl Cpu for SoftCpu {
    fn run(&mut self, until: Until) -> Result<Exit, EngineError> {
        let exit = match until {
            Until::Exit => self.go(u64::MAX),
            Until::Step => self.step(),
            Until::Count(count) => self.go(self.retired.saturating_add(count)),
        };
        Ok(exit.unwrap_or(Exit::Debug { points: 0 }))
    }

    fn answer(&mut self, value: u32) {
        self.answer = value.into();
    }

    fn interrupt(&mut self, vector: u8) -> Result<bool, EngineError> {
        let is_open = self.flags.has(flags::IF) && !self.state.shadow && self.interrupt.is_none();
        self.wants_window = !is_open;
        if is_open {
            self.interrupt = Some(vector);
        }
        Ok(is_open)
    }

    fn cancel_interrupt(&mut self) {
        self.wants_window = false;
    }

    fn complete(&mut self) -> Result<(), EngineError> {
        self.complete_access();
        Ok(())
    }

    fn state(&mut self) -> Result<CpuState, EngineError> {
        Ok(self.snapshot())
    }

    fn set_registers(&mut self, registers: &CpuState) -> Result<(), EngineError> {
        let mut state = self.snapshot();
        (state.general, state.ip, state.flags) = (registers.general, registers.ip, registers.flags);
        state.segments[seg::CS] = registers.segments[seg::CS];
        self.set_state(&state)
    }

    fn set_fpu(&mut self, fpu: &FpuState) -> Result<(), EngineError> {
        self.state.fpu.clone_from(fpu);
        Ok(())
    }

    fn stepped(&mut self) -> Stepped {
        core::mem::replace(&mut self.stepped, Stepped::Nothing)
    }

    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        (self.waits, self.used_answers) = (false, 0);
        self.answers.clear();
        self.state.clone_from(state);
        self.flags = Flags::new(state.flags | 2);
        self.tlb.flush();
        self.cache.clear();
        self.ram.forget_code();
        self.refresh();
        Ok(())
    }

    fn set_breakpoints(&mut self, breakpoints: &[Breakpoint]) -> Result<(), EngineError> {
        if breakpoints.iter().any(|point| point.kind != BreakpointKind::Execute) {
            return Err(EngineError::Unsupported { engine: "soft".into(), what: "stop at data" });
        }
        self.breakpoints = breakpoints.into();
        Ok(())
    }

    fn kick(&self) -> Arc<dyn Kick> {
        Arc::clone(&self.kicked) as Arc<dyn Kick>
    }

    fn memory(&self) -> &dyn GuestMemory {
        &self.ram
    }

    fn memory_mut(&mut self) -> &mut dyn GuestMemory {
        // The machine may write code.
        self.cache.clear();
        self.ram.forget_code();
        self.tlb.flush();
        &mut self.ram
    }

    fn instructions(&self) -> Option<u64> {
        Some(self.retired)
    }
}
