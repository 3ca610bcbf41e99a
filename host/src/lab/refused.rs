//! Acts of a guest that its experiment refuses.

use guest_abi::transition::Violation;

use crate::{runlog::ring_check::Refusal, vmm::MAILBOX_HINT};

/// An act of a guest that its experiment refuses, and that ends the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A mailbox of another size than this experiment's.
    #[error("attached a mailbox of {size} bytes; this experiment's has {expected}")]
    MailboxSize {
        /// The size in bytes.
        size: u32,
        /// The size that it should have.
        expected: u32,
    },
    /// A mailbox of a size that cannot be relayed.
    #[error(
        "attached a mailbox of {size} bytes; one that is relayed has a multiple of 4, up to {}",
        guest_abi::mailbox::MAX_MESSAGE_SIZE
    )]
    MailboxForm {
        /// The size in bytes.
        size: u32,
    },
    /// A mailbox of a guest that runs alone.
    #[error("attached a mailbox, but it runs alone: there is nobody to exchange with")]
    Alone,
    /// An exit during an exchange.
    #[error("exited with status 0 while the exchange was going on")]
    LeftExchange,
    /// A broken rule of the ring.
    #[error(
        "broke the ring's rule `{}`: {}\n  the ring stays:  {}\n  it claimed:      {}",
        .0.violation.rule(), .0.violation, .0.states.old, .0.states.claimed
    )]
    Violation(Refusal),
}

impl Refused {
    /// Returns the act's name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MailboxSize { .. } | Self::MailboxForm { .. } => "mailbox-size",
            Self::Alone => "alone",
            Self::LeftExchange => "left-exchange",
            Self::Violation(_) => "violation",
        }
    }

    /// Returns a hint for the guest's author.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::MailboxSize { .. } => MAILBOX_HINT,
            Self::MailboxForm { .. } => "use guest_rt::mailbox::Mailbox with a message of whole words",
            Self::Alone => {
                "run it with others: cargo xtask run prodcons, or cargo xtask run --experiment FILE"
            }
            Self::LeftExchange => "loop for ever: the host ends the exchange",
            Self::Violation(refusal) if matches!(refusal.violation, Violation::Quota { .. }) => {
                "move as many items as guest_rt::ring::Turn::share returns (in C: guestlab_share): it knows the order and the ring"
            }
            Self::Violation(_) => {
                "use guest_rt::ring::Turn, which keeps the rules; guest_abi::transition lists them"
            }
        }
    }
}
