//! The loop that runs the CPU: instructions, breakpoints and interrupts between them, exits.

use alloc::{boxed::Box, sync::Arc, vec};
use core::{any::Any, sync::atomic::Ordering};

use guestlab_cpu::{
    Breakpoint, Coverage, Cpu, CpuState, Delivery, EMULATION, EngineError, Executed, Exit, FpuState,
    GuestMemory, Kick, MAX_INSTRUCTION, StateDigest, StateHasher, Stepped, Until,
    state::{reg, seg},
    walk,
};

use iced_x86::{FlowControl, Mnemonic};

use crate::{
    cpu::{Op, PortAccess, SoftCpu},
    debug::BS,
    fault::Event,
    flags::{self, Flags},
};

/// The most instructions of a run up to an exit: about a millisecond. The run ends with [`Exit::Interrupted`] then, so that
/// its caller sees a deadline, which no signal tells this program.
const SLICE: u64 = 1 << 18;

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
        if core::mem::take(&mut self.traps_later)
            && let Some(exit) = self.single_step()
        {
            return Some(exit);
        }
        loop {
            let is_kicked = self.kicked.0.load(Ordering::Relaxed);
            if is_kicked && self.kicked.0.swap(false, Ordering::Relaxed) {
                return Some(Exit::Interrupted);
            }
            if self.points.are_met()
                && let Some(exit) = self.after_access()
            {
                return Some(exit);
            }
            if let Some(exit) = self.before_instruction() {
                return Some(exit);
            }
            if self.retired >= end {
                return None;
            }
            let exit = match self.cache.coverage {
                _ if self.is_careful() => self.one(),
                None => self.blocks::<false>(end),
                Some(_) => self.blocks::<true>(end),
            };
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
        if let Some(code) = self.ram.take_written() {
            code.into_iter().for_each(|page| self.cache.drop_page(page));
            self.flush();
        }
        self.keep_passed();
        if core::mem::take(&mut self.waits) {
            let answer = core::mem::take(&mut self.answer);
            match self.port.take() {
                Some(access) if !self.single && !self.flags.has(flags::TF) => self.end_port(access, answer),
                _ => self.answers.push(answer),
            }
        }
    }

    /// Ends IN or OUT without beginning it again.
    fn end_port(&mut self, access: PortAccess, answer: u64) {
        if let PortAccess::In(size) = access {
            self.set_register(reg::RAX as u8, size, answer);
        }
        (self.state.ip, self.state.shadow, self.blocks_traps) = (self.next, false, false);
        self.retired += 1;
        self.forget_answers();
    }

    /// Sees to interrupts and breakpoints between two instructions.
    fn before_instruction(&mut self) -> Option<Exit> {
        let is_open = self.flags.has(flags::IF) && !self.state.shadow && self.answers.is_empty();
        if is_open && let Some(vector) = self.interrupt.take() {
            let exit = self.external_interrupt(vector);
            return if self.single {
                exit.or_else(|| Some(self.delivered(Delivery::Interrupt)))
            } else {
                exit
            };
        }
        if is_open && self.wants_window {
            self.wants_window = false;
            return Some(Exit::InterruptWindow);
        }
        if !self.points.on_code {
            return None;
        }
        match self.at_point() {
            Err(exit) => Some(exit),
            Ok(true) if self.single => Some(self.delivered(Delivery::DebugException)),
            Ok(_) => None,
        }
    }

    /// Ends a step that has called a handler.
    fn delivered(&mut self, delivery: Delivery) -> Exit {
        self.stepped = Stepped::Delivery(delivery);
        Exit::Debug { points: 0 }
    }

    /// Returns true if something is to be seen to after each instruction.
    fn is_careful(&self) -> bool {
        self.single
            || self.state.shadow
            || self.wants_window
            || self.flags.has(flags::TF | flags::RF)
            || !self.answers.is_empty()
    }

    /// Carries out blocks, and counts their runs if `COUNTS`.
    fn blocks<const COUNTS: bool>(&mut self, end: u64) -> Option<Exit> {
        // A kick is noticed after so many instructions at the latest.
        let end = end.min(self.retired + 10_000);
        self.end = end;
        while self.retired < end {
            let taken = match self.take_block() {
                Ok(taken) => taken,
                Err(event) => return self.ended_early(event, self.state.ip),
            };
            self.stale = false;
            let base = if COUNTS { self.code_base() } else { 0 };
            let (begun, event) = self.ops(&taken.ops, end);
            if COUNTS {
                self.count_run(&taken, begun, base);
            }
            let early = event.map(|event| (event, taken.ops[begun - 1].ip));
            self.put_back(taken);
            if let Some((event, start)) = early {
                return self.ended_early(event, start);
            }
            if self.points.on_code || self.stale && self.needs_care() {
                return None;
            }
        }
        None
    }

    /// Carries out the instructions of a block, to its end or up to a count. Returns their number, and the event that ended the
    /// last of them early.
    #[inline]
    fn ops(&mut self, ops: &[Op], end: u64) -> (usize, Option<Event>) {
        for (index, op) in ops.iter().enumerate() {
            self.state.ip = op.next;
            if let Err(event) = (op.run)(self, op) {
                return (index + 1, Some(event));
            }
            self.retired += 1;
            if self.stale || self.retired >= end {
                if core::mem::take(&mut self.repeats) {
                    // The instruction goes on: it has not retired.
                    self.state.ip = op.ip;
                    self.retired -= 1;
                    return (index, None);
                }
                return (index + 1, None);
            }
        }
        (ops.len(), None)
    }

    /// Returns true if something is to be seen to before the next instruction. What asks for it makes the rest of the
    /// block stale.
    fn needs_care(&self) -> bool {
        self.state.shadow
            || self.flags.has(flags::TF | flags::RF)
            || self.wants_window
            || self.interrupt.is_some()
            || self.points.are_met()
    }

    /// Carries out one instruction, or one repetition of it.
    fn one(&mut self) -> Option<Exit> {
        let (traps, shadow) = (self.flags.has(flags::TF), core::mem::take(&mut self.state.shadow));
        let resumes = self.flags.has(flags::RF);
        self.used_answers = 0;
        self.repeats = false;
        self.end = self.retired + 1;
        let taken = match self.take_block() {
            Ok(taken) => taken,
            Err(event) => return self.ended_early(event, self.state.ip),
        };
        let op = taken.ops[0];
        let base = self.code_base();
        self.state.ip = op.next;
        let blocked = core::mem::take(&mut self.blocks_traps);
        let begins = self.answers.is_empty();
        let ended = (op.run)(self, &op);
        if self.cache.coverage.is_some() && begins && !self.repeats {
            self.count_run(&taken, 1, base);
        }
        self.put_back(taken);
        if let Err(event) = ended {
            self.state.shadow |= shadow && self.waits;
            self.blocks_traps |= blocked && self.waits;
            // The exit of HLT is behind the instruction: the exception comes with the next run.
            self.traps_later = traps && event == Event::Exit && !self.waits;
            self.state.debug[6] |= if self.traps_later { BS } else { 0 };
            return self.ended_early(event, op.ip);
        }
        self.answers.clear();
        if core::mem::take(&mut self.repeats) {
            self.state.ip = op.ip;
        } else {
            self.retired += 1;
        }
        if resumes && op.insn.flow_control() != FlowControl::Return {
            // RF is for one instruction, but IRET sets it for the next (Intel SDM volume 3B, 17.3.1.1).
            self.flags.put(flags::RF, false);
        }
        let traps = if decides_on_trap(op.insn.mnemonic()) { self.flags.has(flags::TF) } else { traps };
        if traps && !self.blocks_traps {
            return self.single_step();
        }
        if self.single { self.after_access() } else { None }
    }

    /// Sees to the instruction at `start`, which did not end.
    fn ended_early(&mut self, event: Event, start: u64) -> Option<Exit> {
        self.points.forget_met();
        // The exception of a new task is that of its first instruction.
        let start = if core::mem::take(&mut self.switched) { self.state.ip } else { start };
        let next = core::mem::replace(&mut self.state.ip, start);
        match event {
            Event::Fault(fault) => {
                self.answers.clear();
                self.retired += 1;
                self.raise(fault)
            }
            Event::Exit if self.waits => {
                self.next = next;
                self.exit.take()
            }
            Event::Exit => {
                // The instruction is done, and asks for an exit.
                self.state.ip = next;
                self.answers.clear();
                self.retired += u64::from(next != start);
                self.exit.take()
            }
            Event::Missing => {
                self.answers.clear();
                Some(Exit::InternalError { suberror: EMULATION })
            }
        }
    }

    /// Ends the port access of the last exit. An access to a device in memory is not ended: it can need more answers.
    fn complete_access(&mut self) {
        if self.waits && self.waits_for_port {
            self.resume();
            if !self.answers.is_empty() {
                let single = core::mem::replace(&mut self.single, true);
                self.one();
                self.single = single;
            }
        }
    }

    /// Runs at most so many instructions: not beyond the alarm. Without an exit, the run was interrupted before the last
    /// of them, or it stopped behind it.
    fn go_on(&mut self, count: u64) -> Option<Exit> {
        let goal = self.retired.saturating_add(count);
        match self.alarm.filter(|&alarm| alarm < goal) {
            Some(alarm) => {
                let exit = self.go(alarm);
                self.alarm.take_if(|&mut alarm| self.retired >= alarm);
                Some(exit.unwrap_or(Exit::Interrupted))
            }
            None => self.go(goal),
        }
    }

    /// Returns the time-stamp counter to the guest.
    pub(crate) fn read_time_stamp(&mut self) -> u64 {
        self.has_read_time = true;
        self.time_stamp()
    }

    /// Returns the CPU's time-stamp counter: a tick for each instruction that retired, and those that were let pass.
    pub(crate) fn time_stamp(&self) -> u64 {
        self.retired.wrapping_add(self.idle)
    }
}

impl SoftCpu {
    /// Runs one instruction, or delivers the interrupt before it.
    fn step(&mut self) -> Option<Exit> {
        self.stepped = Stepped::Nothing;
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

/// Returns true if the single step behind an instruction depends on the TF that the instruction leaves: interrupts clear
/// it (Intel SDM volume 3B, 17.3.1.4), SYSCALL can mask it, and SYSRET can set it. Else TF counts as it was before.
fn decides_on_trap(mnemonic: Mnemonic) -> bool {
    use Mnemonic as M;
    matches!(mnemonic, M::Int | M::Int1 | M::Int3 | M::Into | M::Syscall | M::Sysret | M::Sysretq)
}

impl Cpu for SoftCpu {
    fn run(&mut self, until: Until) -> Result<Exit, EngineError> {
        let exit = match until {
            Until::Exit => Some(self.go_on(SLICE).unwrap_or(Exit::Interrupted)),
            Until::Step => self.step(),
            Until::Count(count) => self.go_on(count),
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
        let pointers = self.pointers;
        self.set_state(&state)?;
        self.pointers = pointers;
        Ok(())
    }

    fn set_fpu(&mut self, fpu: &FpuState) -> Result<(), EngineError> {
        self.state.fpu.clone_from(fpu);
        Ok(())
    }

    fn stepped(&mut self) -> Stepped {
        core::mem::replace(&mut self.stepped, Stepped::Nothing)
    }

    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError> {
        (self.waits, self.port, self.used_answers, self.traps_later) = (false, None, 0, false);
        self.blocks_traps = false;
        self.answers.clear();
        self.state.clone_from(state);
        self.pointers = None;
        self.flags = Flags::new(state.flags | 2);
        self.tlb.flush();
        self.find_points();
        Ok(())
    }

    fn set_breakpoints(&mut self, breakpoints: &[Breakpoint]) -> Result<(), EngineError> {
        self.set_points(breakpoints);
        Ok(())
    }

    fn kick(&self) -> Arc<dyn Kick> {
        Arc::clone(&self.kicked) as Arc<dyn Kick>
    }

    fn memory(&self) -> &dyn GuestMemory {
        &self.ram
    }

    fn memory_mut(&mut self) -> &mut dyn GuestMemory {
        &mut self.ram
    }

    fn instructions(&self) -> Option<u64> {
        Some(self.retired)
    }

    fn fork(&mut self) -> Option<Box<dyn Cpu>> {
        let mut fork = Self::fork(self);
        fork.set_points(&[]);
        Some(Box::new(fork))
    }

    fn return_to(&mut self, earlier: &mut dyn Cpu) -> bool {
        let earlier: &mut dyn Any = earlier;
        earlier.downcast_mut().map(|earlier| self.return_to_fork(earlier)).is_some()
    }

    fn digest(&mut self) -> Result<StateDigest, EngineError> {
        let state = self.snapshot();
        let hidden = (self.pointers, self.traps_later, self.blocks_traps, self.interrupt);
        Ok(StateHasher::of(&(state, hidden, self.waits, &self.answers, self.ram.digest())))
    }

    fn has_read_time(&self) -> bool {
        self.has_read_time
    }

    fn ticks(&self) -> Option<u64> {
        Some(self.time_stamp())
    }

    fn set_ticks(&mut self, ticks: u64) {
        self.idle = ticks.wrapping_sub(self.retired);
    }

    fn set_alarm(&mut self, ticks: Option<u64>) {
        self.alarm = ticks.map(|ticks| ticks.wrapping_sub(self.idle));
    }

    fn set_coverage(&mut self, coverage: Option<Arc<dyn Coverage>>) -> bool {
        // Blocks count from the time on at which they are decoded.
        self.cache.clear();
        self.cache.coverage = coverage;
        true
    }
}
