//! Pauses: the guest stands still between two instructions until its timer is due, as on a host that is busy.
//!
//! They make an engine that counts its instructions and its time deliver the timer's interrupt at a place of the caller's
//! choice. What the guest does then, it could do on any machine: no clock promises that an instruction comes soon.

use guestlab_cpu::EngineError;

use super::Machine;
use crate::{clock, pause::Pause};

impl Machine {
    /// Sets the pauses, in place of those before: after each of these numbers of instructions the guest stands still
    /// until its timer is due. Without a timer there is no pause. An engine that does not count instructions makes none.
    pub fn set_pauses(&mut self, pauses: &[u64]) {
        self.pauses = pauses.iter().map(|&at| Pause { at, is_made: false }).collect();
        self.expects_interrupts = true;
    }

    /// Returns the pauses that were not made so far: the guest did not come so far, or no timer was set there.
    pub fn missing_pauses(&self) -> impl Iterator<Item = u64> {
        self.pauses.iter().filter(|pause| !pause.is_made).map(|pause| pause.at)
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
        self.pauses.iter_mut().filter(|pause| Some(pause.at) == now).for_each(|pause| pause.is_made = true);
        Ok(())
    }

    fn pauses_now(&self) -> bool {
        let now = self.cpu.instructions();
        self.pauses.iter().any(|pause| Some(pause.at) == now)
    }

    /// Returns the counted time of the next pause, if nothing but instructions takes time until then.
    pub(super) fn next_pause(&self) -> Option<u64> {
        let (now, ticks) = (self.cpu.instructions()?, self.cpu.ticks()?);
        let next = self.pauses.iter().map(|pause| pause.at).filter(|&at| at > now).min()?;
        ticks.checked_add(next - now)
    }
}
