//! The way back: moments of the guest, and counted re-execution from one of them.
//!
//! A run of an engine that counts instructions and time is a function of its beginning. So the state before any instruction
//! is that of the last moment before it, and as many instructions more. The exits on the way are served again, but
//! nothing is printed again. When gdb's user changes the guest, the past ends there.

use std::ops::ControlFlow;

use guestlab_cpu::{EngineError, Exit, Stepped, Until};
use guestlab_vmm::{Halt, Machine, Moment};

use super::breakpoints::{Break, Pace, Points, Watch};
use crate::runner;

/// The instructions between two moments, at first: about a millisecond of the interpreter's time.
const INTERVAL: u64 = 1 << 18;

/// The most moments. Beyond them every second one is dropped, and the interval doubles.
const MOST: usize = 256;

/// The moments of a guest, the oldest first.
pub(super) struct Past {
    moments: Vec<Moment>,
    interval: u64,
    /// The farthest instruction that the guest has reached. Up to it the guest repeats itself.
    farthest: u64,
}

/// A point that the guest met on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    /// The number of instructions before: the next instruction is the one at the breakpoint, or the one that makes the
    /// access.
    at: u64,
    pub(super) point: Point,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Point {
    Break(Break),
    Watch(Watch),
}

impl Past {
    pub(super) fn new() -> Self {
        Self { moments: Vec::new(), interval: INTERVAL, farthest: 0 }
    }

    /// Forgets everything: the guest's next instruction does not follow from what it did before.
    pub(super) fn forget(&mut self) {
        *self = Self::new();
    }

    /// Keeps the state of now, if the last one that was kept is long ago. It does nothing on an engine that cannot copy.
    pub(super) fn note(&mut self, machine: &mut Machine) {
        let Some(now) = self.reach(machine) else { return };
        let is_due = self.moments.last().is_none_or(|last| now >= last.at() + self.interval);
        if is_due && let Some(moment) = machine.moment() {
            self.moments.push(moment);
        }
        if self.moments.len() > MOST {
            let mut is_kept = false;
            self.moments.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.interval *= 2;
        }
    }

    /// Returns the number of instructions so far.
    fn reach(&mut self, machine: &Machine) -> Option<u64> {
        let now = machine.cpu().instructions()?;
        self.farthest = self.farthest.max(now);
        Some(now)
    }

    /// Returns the number of instructions up to the farthest that was reached, if the guest repeats itself.
    pub(super) fn repeats(&self, machine: &Machine) -> Option<u64> {
        machine.left(self.farthest)
    }

    /// Goes back by one instruction. Returns false if there is no past.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub(super) fn step_back(
        &mut self,
        machine: &mut Machine,
        watch: &dyn runner::Watch,
    ) -> Result<bool, EngineError> {
        match self.reach(machine).and_then(|now| now.checked_sub(1)) {
            Some(before) => self.go_to(before, machine, watch),
            None => Ok(false),
        }
    }

    /// Goes back to the last place at which the guest met a point, or else to the beginning of the past.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub(super) fn go_back(
        &mut self,
        points: &Points,
        pace: &Pace,
        machine: &mut Machine,
        watch: &dyn runner::Watch,
    ) -> Result<Option<Met>, EngineError> {
        let Some(mut end) = self.reach(machine) else { return Ok(None) };
        for index in (0..self.moments.len()).rev() {
            let start = self.moments[index].at();
            if start >= end {
                continue;
            }
            machine.return_to(&mut self.moments[index]);
            if let Some(met) = last_met(end, points, pace, machine, watch)? {
                self.go_to(met.at, machine, watch)?;
                return Ok(Some(met));
            }
            end = start;
        }
        if let Some(first) = self.moments.first_mut() {
            machine.return_to(first);
        }
        Ok(None)
    }

    /// Goes to a place in the past. Returns false if it is before the past's beginning.
    fn go_to(
        &mut self,
        at: u64,
        machine: &mut Machine,
        watch: &dyn runner::Watch,
    ) -> Result<bool, EngineError> {
        let Some(moment) = self.moments.iter_mut().rfind(|moment| moment.at() <= at) else {
            return Ok(false);
        };
        machine.return_to(moment);
        // A guest that stops before has come as far as it goes.
        machine.run_to(at, watch, &mut |_| true)?;
        Ok(true)
    }
}

/// Enters the guest again, and prints nothing.
fn repeat(
    until: Until,
    machine: &mut Machine,
    watch: &dyn runner::Watch,
) -> Result<ControlFlow<Halt, Exit>, EngineError> {
    machine.enter(until, watch, &mut |_| true)
}

/// Runs the guest up to a place, and returns the last point that it met before.
fn last_met(
    end: u64,
    points: &Points,
    pace: &Pace,
    machine: &mut Machine,
    watch: &dyn runner::Watch,
) -> Result<Option<Met>, EngineError> {
    if let Pace::To(points) = pace {
        machine.cpu_mut().set_breakpoints(points)?;
    }
    let mut last = stands_on(points, machine)?;
    while let Some(left) = machine.left(end) {
        let until = if *pace == Pace::Step { Until::Step } else { Until::Count(left) };
        let met = match repeat(until, machine, watch)? {
            ControlFlow::Break(_) => break,
            ControlFlow::Continue(exit) => {
                if until == Until::Step {
                    machine.cpu_mut().complete()?;
                }
                met(&exit, points, machine)?
            }
        };
        last = met.filter(|met| met.at < end).or(last);
    }
    machine.cpu_mut().set_breakpoints(&[])?;
    Ok(last)
}

/// Returns the point that the last entry met.
fn met(exit: &Exit, points: &Points, machine: &mut Machine) -> Result<Option<Met>, EngineError> {
    let Some(now) = machine.cpu().instructions() else { return Ok(None) };
    let watch = match exit {
        Exit::Debug { points: bits } if *bits != 0 => points.watch_of(*bits),
        _ => match machine.cpu_mut().stepped() {
            Stepped::Instructions(all) => points.watch_met(all),
            Stepped::Nothing | Stepped::Delivery(_) => None,
        },
    };
    match watch {
        Some(watch) => Ok(Some(Met { at: now.saturating_sub(1), point: Point::Watch(watch) })),
        None => stands_on(points, machine),
    }
}

/// Returns the breakpoint at the next instruction.
fn stands_on(points: &Points, machine: &mut Machine) -> Result<Option<Met>, EngineError> {
    if points.breaks.is_empty() {
        return Ok(None);
    }
    let Some(at) = machine.cpu().instructions() else { return Ok(None) };
    let address = machine.cpu_mut().registers()?.instruction();
    Ok(points.break_at(address).map(|point| Met { at, point: Point::Break(point) }))
}
