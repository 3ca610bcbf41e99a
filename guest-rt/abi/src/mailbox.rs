//! The mailbox: the layout of a ring and of a turn's order in guest memory.
//!
//! Before a turn the host writes the whole mailbox; after it, the host reads it
//! once and checks the copy. The guest reads the order and the ring, changes the
//! ring, and leaves its [digest](crate::digest) for comparison with the host's.
//!
//! Experiments other than the exchange have a message as their
//! mailbox. The host knows only its size: up to [`MAX_MESSAGE_SIZE`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    digest::Digest,
    ring::{MAX_CAPACITY, Pointers, Ring, Slots},
};

/// The most bytes of a message.
pub const MAX_MESSAGE_SIZE: u32 = 0x400;

/// A mailbox in guest memory.
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mailbox {
    /// The number of items to move in this turn, or a random number ([`Quota`]). Host to guest.
    pub quota: u32,
    /// The guest's digest of all items that it has produced or consumed.
    /// Guest to host; the host never reveals the expected value.
    pub digest: Digest,
    /// The ring's pointers. Both ways.
    pub pointers: Pointers,
    /// The ring's slots. Both ways.
    pub slots: Slots,
}

impl Mailbox {
    /// Creates the mailbox for a guest's turn, from the ring and the turn's order.
    pub const fn new(quota: Quota, ring: &Ring) -> Self {
        Self {
            quota: quota.encode(),
            digest: Digest { items: 0, hash: 0 },
            pointers: ring.pointers(),
            slots: *ring.slots(),
        }
    }
}

/// The number of items that a turn must move. A guest never moves more than the ring allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quota {
    /// A random number, from 0 to as many as the ring allows.
    Random,
    /// Exactly this number, 0 to [`MAX_CAPACITY`], or as many as the ring allows
    /// if that is less. The host refuses a turn that moves another number.
    Items(u32),
}

impl Quota {
    const RANDOM: u32 = u32::MAX;

    /// Encodes the quota for [`Mailbox::quota`].
    pub const fn encode(self) -> u32 {
        match self {
            Self::Random => Self::RANDOM,
            Self::Items(items) => items,
        }
    }

    /// Decodes the value of [`Mailbox::quota`].
    pub const fn decode(raw: u32) -> Self {
        if raw == Self::RANDOM { Self::Random } else { Self::Items(raw) }
    }
}

/// The size of a [`Mailbox`] in bytes.
pub const MAILBOX_SIZE: u32 = 28 + 4 * MAX_CAPACITY;

const _: () = assert!(size_of::<Mailbox>() == MAILBOX_SIZE as usize);
const _: () = assert!(MAX_MESSAGE_SIZE.is_multiple_of(4));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_survives_its_encoding() {
        for quota in [Quota::Random, Quota::Items(0), Quota::Items(MAX_CAPACITY)] {
            assert_eq!(Quota::decode(quota.encode()), quota);
        }
    }
}
