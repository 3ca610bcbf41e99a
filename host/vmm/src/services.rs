//! The services of a machine, which its guest's hypercalls use; and the guest's output.

use guest_abi::block::MailboxAttach;
use log::Level;

use crate::{clock::Clock, memory::MemoryLayout, stats::ExitStats, timer::Timer};

/// The services of a machine: all that hypercalls read and change, except the guest's memory.
#[derive(Clone)]
pub struct Services {
    /// The layout of the guest's memory.
    pub memory: MemoryLayout,
    /// The guest's mailbox, once it has attached one.
    pub mailbox: Option<MailboxAttach>,
    /// The VM's exits so far.
    pub stats: ExitStats,
    /// The address of the text of the exit counts.
    pub text: u32,
    /// The result of the last translation.
    pub translation: u32,
    /// The policy for host virtual addresses.
    pub hva: HvaPolicy,
    /// The time at which the guest wants to be interrupted.
    pub timer: Timer,
    /// The guest's clock.
    pub clock: Clock,
    /// The guest has asked for its time, its timer or the number of its exits.
    pub has_read_counts: bool,
    /// The image was not built with guest-rt: it has the course's hypercalls only, and ends with `hlt`.
    pub foreign: bool,
}

impl Services {
    /// Returns the services of a guest that is about to start.
    pub(crate) fn new(hva: HvaPolicy, memory: MemoryLayout, text: u32, foreign: bool) -> Self {
        Self {
            memory,
            mailbox: None,
            stats: ExitStats::default(),
            text,
            translation: 0,
            hva,
            timer: Timer::default(),
            clock: Clock::start(),
            has_read_counts: false,
            foreign,
        }
    }
}

/// The policy for the hypercall that returns host virtual addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HvaPolicy {
    /// The guest gets the address.
    Allow,
    /// The guest gets 0. The first such call prints [`ConsoleOutput::HvaDenied`].
    #[default]
    Deny,
    /// The guest gets 0, and a notice was printed already.
    DenyWarned,
    /// The guest gets 0. Such calls print nothing, not even for an address that is not mapped.
    DenySilently,
}

/// The receiver of a guest's output. It returns false if the output can no longer be written.
pub type Console<'a> = dyn FnMut(ConsoleOutput<'_>) -> bool + 'a;

/// Output of a guest, or of the host on behalf of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleOutput<'a> {
    /// Text that the guest prints.
    Text(&'a [u8]),
    /// A record of the guest's log.
    Record(Record<'a>),
    /// The guest asked for the host virtual address behind an address that is not mapped.
    InvalidAddress,
    /// The guest asked for a host virtual address, and [`HvaPolicy::Deny`] holds.
    HvaDenied,
}

/// A record of a guest's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The severity.
    pub level: Level,
    /// The subject. Bytes that are not UTF-8 were replaced.
    pub target: &'a str,
    /// The guest's text. Bytes that are not UTF-8 were replaced.
    pub message: &'a str,
}

impl Record<'_> {
    /// Returns the size of its line in the output, in bytes.
    pub fn size(&self) -> u64 {
        (self.level.as_str().len() + self.target.len() + self.message.len()) as u64
    }
}
