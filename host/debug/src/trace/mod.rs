//! The tracer: it steps the guest, shows each instruction or keeps the last ones, and counts instructions by function and
//! line.
//!
//! A repeated string instruction counts as one, because KVM modules differ in the number of repetitions of a step. One that
//! faults and starts again counts as two.

mod format;
mod output;
mod profile;
mod stacks;

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use guestlab_cpu::{CpuState, EngineError, Exit, Stepped, Until};
use guestlab_runlog::{error::WriteError, event::VmProfile};
use guestlab_vmm::{Console, Halt, Machine, StopReason};

use crate::trace::{format::Line, output::Lines, profile::Count, stacks::Stacks};

use crate::{
    crash_report::{ImageInfo, LastInstructions, Piece},
    runner::{Runner, Watch},
    step::Before,
};
pub use output::Shown;
pub use stacks::FoldedStacks;

/// The configuration of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// The instructions that are shown, if any are.
    pub shown: Option<Shown>,
    /// True if instructions are counted.
    pub profile: bool,
    /// The number of last instructions that the report of a failure shows.
    pub last: u16,
    /// The collector of instructions by call stack, if they are counted so.
    pub stacks: Option<FoldedStacks>,
}

/// The lines of a trace, which the machines of a run share.
#[derive(Clone)]
pub struct Shared(Option<Arc<Mutex<Lines>>>);

impl Shared {
    /// Opens the trace, if the configuration shows instructions.
    ///
    /// # Errors
    ///
    /// The trace's file cannot be created.
    pub fn open(config: &TraceConfig) -> Result<Self, WriteError> {
        let lines = config.shown.as_ref().map(Lines::open).transpose()?;
        Ok(Self(lines.map(|lines| Arc::new(Mutex::new(lines)))))
    }
}

/// Returns a runner that traces a machine. `label` begins its lines, and `name` is the root of its stacks.
pub fn tracer(
    config: &TraceConfig,
    shared: &Shared,
    image: ImageInfo,
    label: String,
    name: String,
) -> Box<dyn Runner> {
    let pieces = image.pieces();
    Box::new(Tracer {
        label,
        lines: shared.0.clone(),
        count: config.profile.then(|| Count::new(&pieces)),
        stacks: config.stacks.as_ref().map(|output| Stacks::new(output.clone(), image.clone(), name)),
        last: LastInstructions::new(config.last),
        pieces,
        image,
        begun: None,
        stepped: 0,
        is_over: false,
        flushes: false,
    })
}

struct Tracer {
    /// The image, for the names of functions.
    image: ImageInfo,
    /// The beginning of each line.
    label: String,
    lines: Option<Arc<Mutex<Lines>>>,
    count: Option<Count>,
    stacks: Option<Stacks>,
    /// The last instructions, if the report of a failure shows them.
    last: LastInstructions,
    pieces: Vec<Piece>,
    /// A repeated string instruction that is not complete.
    begun: Option<Before>,
    /// The number of instructions so far.
    stepped: u64,
    /// The guest is no longer stepped.
    is_over: bool,
    /// The host is about to serve an exit: lines must be written before its output.
    flushes: bool,
}

impl Tracer {
    /// Takes executed instructions. `after` are the registers now, if the last one is complete.
    fn passed(&mut self, mut all: Vec<Before>, after: Option<&CpuState>) {
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

    fn executed(&mut self, before: &Before, after: Option<&CpuState>) {
        self.stepped += 1;
        let address = before.address();
        let piece = self.pieces.partition_point(|piece| piece.start <= address).checked_sub(1);
        let piece = piece.filter(|&piece| address < self.pieces[piece].end);
        if let Some(count) = &mut self.count {
            count.add(address, piece);
        }
        if let Some(stacks) = &mut self.stacks {
            stacks.executed(before);
        }
        let is_shown = self.shows();
        if !is_shown && self.last.are_unwanted() {
            return;
        }
        let piece = piece.map(|piece| &self.pieces[piece]);
        let line = Line { before, after, piece }.to_string();
        if let Some(mut lines) = self.lines().filter(|_| is_shown) {
            lines.instruction(&format!("{}{line}", self.label));
        }
        let end = address.wrapping_add(before.bytes().len() as u64);
        self.last.push(Some((address, end)), line);
    }

    fn lines(&self) -> Option<MutexGuard<'_, Lines>> {
        // Lines are complete at any point at which a thread could panic.
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

impl Tracer {
    /// Shows and counts the instructions since the last entry. Returns false if the guest is not stepped any more.
    fn note(&mut self, machine: &mut Machine) -> Result<bool, EngineError> {
        let cpu = machine.cpu_mut();
        cpu.complete()?;
        match cpu.stepped() {
            Stepped::Nothing => {}
            Stepped::Instructions(all) => {
                let registers = cpu.registers()?;
                self.passed(all.into_iter().map(Before::from).collect(), Some(&registers));
            }
            Stepped::Delivery(delivery) => {
                if let Some(stacks) = &mut self.stacks {
                    stacks.delivered();
                }
                let line = format::delivery(delivery);
                if let Some(mut lines) = self.lines().filter(|lines| lines.takes_more()) {
                    lines.remark(&format!("{}{line}", self.label));
                }
                self.last.push(None, line.into());
            }
        }
        self.is_over =
            self.count.is_none() && self.stacks.is_none() && self.last.are_unwanted() && !self.shows();
        if std::mem::take(&mut self.flushes) {
            self.flush();
        }
        Ok(!self.is_over)
    }

    /// Traces the last instruction before a stop.
    fn stopped(&mut self, machine: &mut Machine, halt: &Halt) -> Result<(), EngineError> {
        let cpu = machine.cpu_mut();
        // The last instruction stays incomplete, so that a crash report sees the guest as it exited.
        if let Stepped::Instructions(last) = cpu.stepped() {
            let after = matches!(halt, Halt::Stop(_)).then(|| cpu.registers()).transpose()?;
            self.passed(last.into_iter().map(Before::from).collect(), after.as_ref());
        }
        // A repeated instruction that is not complete does not continue now.
        if let Some(begun) = self.begun.take() {
            self.executed(&begun, None);
        }
        self.flush();
        if let Some(count) = &mut self.count {
            match halt {
                Halt::Stop(StopReason::Attached) => count.booted(),
                Halt::Stop(StopReason::TurnEnded) => count.turn_ended(),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Runner for Tracer {
    fn run(
        &mut self,
        machine: &mut Machine,
        watch: &dyn Watch,
        console: &mut Console<'_>,
    ) -> Result<Halt, EngineError> {
        machine.begin();
        loop {
            let mut until = Until::Exit;
            if watch.expiry().is_none() && !self.is_over {
                machine.is_served(Instant::now());
                // An alarm for the guest must not interrupt the writing of lines.
                watch.set_alarm(None);
                if self.note(machine)? {
                    until = Until::Step;
                }
            }
            match machine.enter(until, watch, console)? {
                ControlFlow::Continue(exit) => {
                    self.flushes |= !matches!(exit, Exit::Debug { .. } | Exit::Interrupted);
                }
                ControlFlow::Break(halt) => {
                    watch.set_alarm(None);
                    self.stopped(machine, &halt)?;
                    return Ok(halt);
                }
            }
        }
    }

    fn stepped(&self) -> Option<u64> {
        (!self.is_over).then_some(self.stepped)
    }

    fn last_instructions(&self) -> LastInstructions {
        self.last.clone()
    }

    fn profile(&self) -> Option<VmProfile> {
        let Self { count, pieces, image, .. } = self;
        Some(count.as_ref()?.profile(pieces, |addresses| image.sources(addresses)))
    }
}
