//! Interrupts: the timer, and the lines of a PC's devices.

use std::time::Duration;

use guest_abi::trap::TIMER;
use guestlab_cpu::EngineError;

use super::Machine;
use crate::{clock, stop::Stop, timer::Timer};

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
                Some(due) => stop.sleep_until(self.wake.map_or(due, |wake| wake.min(due))),
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
            || self.wake.is_some()
            || !self.pauses.is_empty();
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
        stop.set_alarm(due.into_iter().chain(self.wake).min());
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
