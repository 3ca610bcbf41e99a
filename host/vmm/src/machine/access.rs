//! The state of a machine's parts, and settings.

use std::{sync::Arc, time::Instant};

use guest_abi::{block::MailboxAttach, mode::CpuMode};
use guestlab_cpu::{Cpu, CpuState, Exit, OutOfMemory, walk};

use super::Machine;
use crate::{
    history::History,
    memory::{MemoryKind, MemoryLayout},
    pc::Pc,
    reply::Reply,
    stats::ExitStats,
    vectors::Vectors,
};

impl Machine {
    /// Returns this machine with the devices of a PC, or without.
    #[must_use]
    pub fn with_pc(self, pc: Option<Pc>) -> Self {
        Self { pc, ..self }
    }

    /// Returns this machine with hypercalls of the caller's own, in place of those before. `serve` gets each exit first, and
    /// returns the reply to it. With `None` the machine serves the exit.
    #[must_use]
    pub fn with_hypercalls(
        self,
        serve: impl FnMut(&Exit, &mut dyn Cpu) -> Option<Reply> + Send + 'static,
    ) -> Self {
        Self { own_hypercalls: Some(Box::new(serve)), ..self }
    }

    /// Sets the number of exits after which the machine stops; `None` is no limit.
    pub fn set_max_exits(&mut self, max: Option<u64>) {
        self.max_exits = max;
    }

    /// Sets the time at which [`enter`](Self::enter) returns even if the guest has not left; `None` is never.
    pub fn set_wake(&mut self, wake: Option<Instant>) {
        self.wake.at = wake;
    }

    /// Holds interrupts back, as for a single step that a debugger's user asked for, or lets them come.
    pub fn hold_interrupts(&mut self, holds: bool) {
        self.holds_interrupts = holds;
    }

    /// Returns the guest's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the engine's name.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// Returns the guest's name, to be kept.
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Returns the VM's number, from 1.
    pub fn vm(&self) -> u32 {
        self.vm
    }

    /// Returns the mode that the guest runs in, once it has booted.
    pub fn mode(&self) -> CpuMode {
        self.mode
    }

    /// Returns the devices of a PC, if the machine has them.
    pub fn pc(&self) -> Option<&Pc> {
        self.pc.as_ref()
    }

    /// Returns true if the image was not built with guest-rt.
    pub fn is_foreign(&self) -> bool {
        self.services.foreign
    }

    /// Returns the exits so far.
    pub fn stats(&self) -> &ExitStats {
        &self.services.stats
    }

    /// Returns the last exits.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Returns the host's handlers of exceptions, if the guest started with them.
    pub fn vectors(&self) -> Option<&Vectors> {
        self.vectors.as_ref()
    }

    /// Returns true if the guest has set its timer, and the interrupt has not come.
    pub fn is_timer_set(&self) -> bool {
        self.services.timer.due().is_some()
    }

    /// Returns true if the timer's interrupt is due.
    pub fn is_timer_due(&self) -> bool {
        self.services.timer.has_expired(self.now())
    }

    /// Returns the layout of the guest's memory.
    pub fn layout(&self) -> MemoryLayout {
        self.services.memory
    }

    /// Returns the vCPU with the guest's memory.
    pub fn cpu(&self) -> &dyn Cpu {
        &*self.cpu
    }

    /// Returns the vCPU with the guest's memory, to be driven or changed.
    pub fn cpu_mut(&mut self) -> &mut dyn Cpu {
        &mut *self.cpu
    }

    /// Exchanges the vCPU with another, such as [`Lent`](crate::Lent) while a debugger has it.
    pub fn swap_cpu(&mut self, cpu: &mut Box<dyn Cpu>) {
        std::mem::swap(&mut self.cpu, cpu);
    }

    /// Copies memory from a linear address. Returns the number of bytes before the first one that is not there.
    pub fn read_linear(&self, registers: &CpuState, address: u64, buffer: &mut [u8]) -> usize {
        walk::read_linear(registers, self.cpu.memory(), address, buffer)
    }

    /// Returns the kind of memory at a linear address, and its guest-physical address; `None` if it is not mapped.
    pub fn kind_at(&self, registers: &CpuState, address: u64) -> Option<(u64, MemoryKind)> {
        let physical = walk::physical(registers, self.cpu.memory(), address)?;
        Some((physical, self.services.memory.kind(physical)))
    }

    /// Returns the size of the mailbox that the guest attached, if it has one.
    pub fn mailbox_size(&self) -> Option<u32> {
        self.services.mailbox.map(|mailbox| mailbox.size)
    }

    /// Writes the guest's mailbox.
    ///
    /// # Errors
    ///
    /// The guest has none. (Its place was checked when it was attached.)
    pub fn write_mailbox(&mut self, mailbox: &[u8]) -> Result<(), OutOfMemory> {
        let MailboxAttach { address, .. } = self.services.mailbox.ok_or(OutOfMemory)?;
        self.cpu.memory_mut().write(address.into(), mailbox)
    }

    /// Copies the guest's mailbox, once.
    ///
    /// # Errors
    ///
    /// As [`write_mailbox`](Self::write_mailbox).
    pub fn read_mailbox(&self, mailbox: &mut [u8]) -> Result<(), OutOfMemory> {
        let MailboxAttach { address, .. } = self.services.mailbox.ok_or(OutOfMemory)?;
        self.cpu.memory().read(address.into(), mailbox)
    }
}
