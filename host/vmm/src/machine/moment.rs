//! Moments: the state of a machine, kept so that it can return there.

use guestlab_cpu::Cpu;

use super::Machine;
use crate::{history::History, pc::Pc, services::Services, vectors::Vectors};

/// The state of a machine between two instructions: CPU, memory, devices, and the host's account of the guest. The memory
/// is shared with the machine until one of them writes it.
pub struct Moment {
    at: u64,
    cpu: Box<dyn Cpu>,
    services: Services,
    pc: Option<Pc>,
    vectors: Option<Vectors>,
    history: History,
    is_waiting: bool,
}

impl Moment {
    /// Returns the number of instructions before this moment.
    pub fn at(&self) -> u64 {
        self.at
    }
}

impl Machine {
    /// Returns the state of now, if the engine can copy a CPU and counts its instructions. The last exit must be
    /// [complete](Cpu::complete). A user's own hypercalls keep their state outside of it.
    pub fn moment(&mut self) -> Option<Moment> {
        let at = self.cpu.instructions()?;
        Some(Moment {
            at,
            cpu: self.cpu.fork()?,
            services: self.services.clone(),
            pc: self.pc.clone(),
            vectors: self.vectors.clone(),
            history: self.history.clone(),
            is_waiting: self.is_waiting,
        })
    }

    /// Returns to an earlier state. What the guest has printed since stays printed. Breakpoints and handles for kicks are
    /// gone.
    pub fn return_to(&mut self, moment: &mut Moment) {
        let Some(cpu) = moment.cpu.fork() else { return };
        self.cpu = cpu;
        // The user is told only once that guests do not learn host addresses.
        self.services = Services { hva: self.services.hva, ..moment.services.clone() };
        (self.pc, self.vectors) = (moment.pc.clone(), moment.vectors.clone());
        self.history = moment.history.clone();
        (self.serving, self.is_waiting, self.has_crashed) = (None, moment.is_waiting, false);
        self.expects_interrupts = true;
    }

    /// Returns true if an interrupt is due for the guest.
    pub fn has_interrupt(&self) -> bool {
        self.pc.as_ref().map_or_else(|| self.is_timer_due(), |pc| pc.interrupt().is_some())
    }
}
