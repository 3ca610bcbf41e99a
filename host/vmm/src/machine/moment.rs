//! Moments: the state of a machine, kept so that it can return there.

use std::ops::ControlFlow;

use guest_abi::{boot::BootInfo, layout};
use guestlab_cpu::{Cpu, EngineError, OutOfMemory, StateDigest, StateHasher, Until};

use super::Machine;
use crate::{
    history::History,
    memory::{read_record, write_record},
    pc::Pc,
    random,
    services::{Console, Services},
    stop::Stop,
    vectors::Vectors,
};

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

    /// Returns to an earlier state of this machine. What the guest has printed since stays printed. Breakpoints are gone.
    pub fn return_to(&mut self, moment: &mut Moment) {
        if !self.cpu.return_to(&mut *moment.cpu) {
            let Some(cpu) = moment.cpu.fork() else { return };
            self.cpu = cpu;
        }
        // The user is told only once that guests do not learn host addresses.
        self.services = Services { hva: self.services.hva, ..moment.services.clone() };
        (self.pc, self.vectors) = (moment.pc.clone(), moment.vectors.clone());
        self.history.clone_from(&moment.history);
        (self.serving, self.is_waiting, self.has_crashed) = (None, moment.is_waiting, false);
        self.expects_interrupts = true;
    }

    /// Runs the guest up to an instruction, by its number in the count of the engine. Returns false if the guest stopped
    /// before, or `stop` said so.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn run_to(
        &mut self,
        at: u64,
        stop: &dyn Stop,
        console: &mut Console<'_>,
    ) -> Result<bool, EngineError> {
        while let Some(left) = self.left(at) {
            if let ControlFlow::Break(_) = self.enter(Until::Count(left), stop, console)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the number of instructions up to a place, if it is not reached and the engine counts.
    pub fn left(&self, at: u64) -> Option<u64> {
        let now = self.cpu.instructions()?;
        at.checked_sub(now).filter(|&left| left > 0)
    }

    /// Returns true if an interrupt is due for the guest.
    pub fn has_interrupt(&self) -> bool {
        self.pc.as_ref().map_or_else(|| self.is_timer_due(), |pc| pc.interrupt().is_some())
    }

    /// Returns the digest of all that the guest's next steps depend on: CPU, memory, mailbox and timer. Devices of a PC
    /// are not in it, and neither are time and the number of exits (see [`has_read_counts`](Self::has_read_counts)).
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn digest(&mut self) -> Result<StateDigest, EngineError> {
        self.cpu.complete()?;
        let cpu = self.cpu.digest()?;
        let Services { mailbox, text, translation, timer, .. } = &self.services;
        let mailbox = mailbox.as_ref().map(|mailbox| (mailbox.address, mailbox.size));
        Ok(StateHasher::of(&(cpu, mailbox, text, translation, timer.due(), self.is_waiting)))
    }

    /// Returns true if the guest has asked for the time, a timer or the number of its exits: then what it does can depend on
    /// them, and two states with one [digest](Self::digest) can have different futures.
    pub fn has_read_counts(&self) -> bool {
        self.services.has_read_counts || self.cpu.has_read_time()
    }

    /// Gives the guest the random numbers of another seed. It must not have read its own yet.
    ///
    /// # Errors
    ///
    /// The guest has no boot information, because it was not built with guest-rt.
    pub fn reseed(&mut self, seed: u64) -> Result<(), OutOfMemory> {
        let seed = random::guest_seed(seed, self.vm);
        let memory = self.cpu.memory_mut();
        let info: BootInfo = read_record(memory, layout::BOOT_INFO)?;
        write_record(memory, layout::BOOT_INFO, &BootInfo { seed, ..info })
    }
}
