//! A machine as data, which another machine with the same image goes on from, on any engine.

use std::time::Duration;

use guest_abi::block::MailboxAttach;
use guestlab_cpu::{CpuState, EngineError, OutOfMemory, PAGE};

use super::Machine;
use crate::{
    clock::{self, Clock},
    services::Services,
    stats::{ExitStats, Reason},
    timer::Timer,
};

/// The state of a machine without its memory: CPU, devices, and the host's account of the guest. Devices of a PC are not
/// in it, and neither are the last exits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct SavedMachine {
    /// The CPU.
    pub cpu: CpuState,
    /// The address and the size of the mailbox, once the guest has attached one.
    pub mailbox: Option<(u32, u32)>,
    /// The result of the last translation.
    pub translation: u32,
    /// The guest's time since its start, in nanoseconds.
    pub time: u64,
    /// The time of the timer's interrupt on that clock, if one is set.
    pub timer: Option<u64>,
    /// The guest waits for its timer.
    pub is_waiting: bool,
    /// The number of exits, by reason.
    pub exits: Vec<(Reason, u64)>,
}

/// A page of a guest's memory, with its guest-physical address.
pub type SavedPage = (u64, Box<[u8; PAGE]>);

/// A state that this machine cannot have.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The engine failed, or no CPU can be in the state.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A page or the mailbox is not in the guest's memory.
    #[error("{0:#x} is not in the guest's memory")]
    OutOfMemory(u64),
}

impl Machine {
    /// Returns the state of now, with the pages of memory that are not zero. It [completes](guestlab_cpu::Cpu::complete) the
    /// last exit.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn save(&mut self) -> Result<(SavedMachine, Vec<SavedPage>), EngineError> {
        self.cpu.complete()?;
        let mut pages = Vec::new();
        self.cpu.memory().pages(&mut |address, bytes| pages.push((address, Box::new(*bytes))));
        let Services { mailbox, translation, timer, stats, .. } = &self.services;
        let saved = SavedMachine {
            mailbox: mailbox.as_ref().map(|mailbox| (mailbox.address, mailbox.size)),
            translation: *translation,
            time: nanoseconds(self.now()),
            timer: timer.due().map(nanoseconds),
            is_waiting: self.is_waiting,
            exits: stats.rows().map(|(reason, row)| (reason, row.count)).collect(),
            cpu: self.cpu.state()?,
        };
        Ok((saved, pages))
    }

    /// Takes the state of another machine with the same image and memory size. Breakpoints are gone.
    ///
    /// # Errors
    ///
    /// The machine cannot have the state. It must not run then.
    pub fn restore<'a>(
        &mut self,
        saved: &SavedMachine,
        pages: impl IntoIterator<Item = (u64, &'a [u8; PAGE])>,
    ) -> Result<(), RestoreError> {
        let outside = |address| move |OutOfMemory| RestoreError::OutOfMemory(address);
        let memory = self.cpu.memory_mut();
        memory.clear()?;
        for (address, bytes) in pages {
            memory.write(address, bytes).map_err(outside(address))?;
        }
        if let Some((address, size)) = saved.mailbox
            && !memory.contains(address.into(), size as usize)
        {
            return Err(RestoreError::OutOfMemory(address.into()));
        }
        self.cpu.set_state(&saved.cpu)?;
        let time = Duration::from_nanos(saved.time);
        self.cpu.set_ticks(clock::ticks(time));
        let Services { hva, memory, text, foreign, .. } = self.services;
        self.services = Services {
            mailbox: saved.mailbox.map(|(address, size)| MailboxAttach { address, size }),
            translation: saved.translation,
            timer: Timer::at(saved.timer.map(Duration::from_nanos)),
            clock: Clock::after(time),
            stats: ExitStats::of_counts(&saved.exits),
            has_read_counts: true,
            ..Services::new(hva, memory, text, foreign)
        };
        self.history.clear();
        (self.serving, self.is_waiting, self.has_crashed) = (None, saved.is_waiting, false);
        self.expects_interrupts = true;
        Ok(())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    // 64 bits are five hundred years.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
