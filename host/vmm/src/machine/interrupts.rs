//! Interrupts: the timer, and the lines of a PC's devices.
//!
//! Pauses make an engine that counts its instructions and its time deliver the timer's interrupt at a place of the caller's
//! choice: the guest stands still there until its timer is due, as on a host that is busy. What it does then, it could do
//! on any machine: no clock promises that an instruction comes soon.

use std::time::Duration;

use guest_abi::trap::TIMER;
use guestlab_cpu::EngineError;

use super::Machine;
use crate::{clock, stop::Stop, timer::Timer, wake::Pause};

/// The vector of the timer's interrupt.
const TIMER_VECTOR: u8 = TIMER.to_le_bytes()[0];

impl Machine {
    /// Returns the guest's time.
    pub(super) fn now(&self) -> Duration {
        self.services.clock.now(&*self.cpu)
    }

    /// Waits for the timer, at most until the wake time. Time that the CPU counts passes at once. Returns true if the guest
    /// still has to wait.
    pub(super) fn waits(&mut self, stop: &dyn Stop) -> bool {
        let timer = self.services.timer;
        if let Some(due) = timer.due().filter(|_| !timer.has_expired(self.now())) {
            match self.services.clock.instant(&*self.cpu, due) {
                Some(due) => stop.sleep_until(self.wake.at.map_or(due, |wake| wake.min(due))),
                None => self.cpu.set_ticks(clock::ticks(due)),
            }
        }
        self.is_waiting = timer.due().is_some() && !timer.has_expired(self.now());
        self.is_waiting
    }

    /// Queues the interrupt that is due, as soon as the guest can take it, and sets the alarm for the next.
    pub(super) fn interrupt(&mut self, stop: &dyn Stop) -> Result<(), EngineError> {
        let expects = self.pc.is_some()
            || self.services.timer.due().is_some()
            || self.wake.at.is_some()
            || !self.wake.pauses.is_empty();
        // The last of them is taken back, and then there is nothing to do.
        match std::mem::replace(&mut self.expects_interrupts, expects) || expects {
            true => self.set_interrupts(stop),
            false => Ok(()),
        }
    }

    fn set_interrupts(&mut self, stop: &dyn Stop) -> Result<(), EngineError> {
        self.pause()?;
        let is_due = self.is_timer_due();
        let vector = match &self.pc {
            Some(pc) => pc.interrupt(),
            None => is_due.then_some(TIMER_VECTOR),
        };
        match vector.filter(|_| !self.holds_interrupts) {
            Some(vector) => {
                if self.cpu.interrupt(vector)? {
                    self.is_interrupted();
                }
            }
            // The guest may have cancelled a timer that was due: without this, it would exit at every instruction.
            None => self.cpu.cancel_interrupt(),
        }
        let due = self.services.timer.due().filter(|_| !is_due);
        self.cpu.set_alarm(due.map(clock::ticks).into_iter().chain(self.next_pause()).min());
        let due = due.and_then(|due| self.services.clock.instant(&*self.cpu, due));
        stop.set_alarm(due.into_iter().chain(self.wake.at).min());
        Ok(())
    }

    /// Notes that the guest takes its interrupt at the next entry.
    fn is_interrupted(&mut self) {
        let purpose = match &mut self.pc {
            Some(pc) => {
                pc.acknowledge();
                "a line of the test device went high: the guest takes the interrupt as it enters"
            }
            None => {
                self.services.timer = Timer::default();
                "the timer's interrupt is due: the guest takes it as it enters"
            }
        };
        self.announce("interrupt", format_args!("{purpose}"));
    }
}

impl Machine {
    /// Sets the pauses, in place of those before: after each of these numbers of instructions the guest stands still
    /// until its timer is due. Without a timer there is no pause. An engine that does not count instructions makes none.
    pub fn set_pauses(&mut self, pauses: &[u64]) {
        self.wake.pauses = pauses.iter().map(|&at| Pause { at, is_made: false }).collect();
        self.expects_interrupts = true;
    }

    /// Returns the pauses that were not made so far: the guest did not come so far, or no timer was set there.
    pub fn missing_pauses(&self) -> impl Iterator<Item = u64> {
        self.wake.pauses.iter().filter(|pause| !pause.is_made).map(|pause| pause.at)
    }

    /// Makes the pause of now, if there is one.
    pub(super) fn pause(&mut self) -> Result<(), EngineError> {
        if !self.pauses_now() {
            return Ok(());
        }
        // The instruction of the last exit may not have retired.
        self.cpu.complete()?;
        let Some(due) = self.services.timer.due().filter(|_| self.pauses_now()) else { return Ok(()) };
        if !self.is_timer_due() {
            self.cpu.set_ticks(clock::ticks(due));
        }
        let now = self.cpu.instructions();
        self.wake
            .pauses
            .iter_mut()
            .filter(|pause| Some(pause.at) == now)
            .for_each(|pause| pause.is_made = true);
        Ok(())
    }

    fn pauses_now(&self) -> bool {
        let now = self.cpu.instructions();
        self.wake.pauses.iter().any(|pause| Some(pause.at) == now)
    }

    /// Returns the counted time of the next pause, if nothing but instructions takes time until then.
    pub(super) fn next_pause(&self) -> Option<u64> {
        let (now, ticks) = (self.cpu.instructions()?, self.cpu.ticks()?);
        let next = self.wake.pauses.iter().map(|pause| pause.at).filter(|&at| at > now).min()?;
        ticks.checked_add(next - now)
    }
}
