//! How a ring and a turn's orders lie in guest memory: the mailbox.
//!
//! Before a turn the host writes the whole mailbox; after it, the host reads it once and checks
//! what it read. The guest reads the orders and the ring, changes the ring, and leaves its
//! [digest](crate::digest) for the host to compare.
//!
//! The mailbox of an experiment other than the exchange is a message, of which the host knows the
//! size only: up to [`MAX_MESSAGE_SIZE`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    digest::Digest,
    ring::{MAX_CAPACITY, Pointers, Ring, Slots},
};

/// The most bytes of a message.
pub const MAX_MESSAGE_SIZE: u32 = 0x400;

/// A mailbox, as it lies in guest memory.
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mailbox {
    /// The turn's orders: an encoded [`Quota`]. Host to guest.
    pub quota: u32,
    /// The guest's account of all items that it has produced or consumed. Guest to host; the
    /// host never says what it expects.
    pub digest: Digest,
    /// Where the ring stands. Both ways.
    pub pointers: Pointers,
    /// The ring's slots. Both ways.
    pub slots: Slots,
}

impl Mailbox {
    /// The mailbox that hands `ring` to a guest, with the turn's orders.
    pub const fn new(quota: Quota, ring: &Ring) -> Self {
        Self {
            quota: quota.encode(),
            digest: Digest { items: 0, hash: 0 },
            pointers: ring.pointers(),
            slots: *ring.slots(),
        }
    }
}

/// How many items a turn is to move. A guest never moves more than the ring allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quota {
    /// A random number, from none to all that the ring allows.
    Random,
    /// Exactly this number, 0 to [`MAX_CAPACITY`], or as many as the ring allows where that is less. The host
    /// refuses a turn that moves another number.
    Items(u32),
}

impl Quota {
    const RANDOM: u32 = u32::MAX;

    /// The quota as [`Mailbox::quota`] has it.
    pub const fn encode(self) -> u32 {
        match self {
            Self::Random => Self::RANDOM,
            Self::Items(items) => items,
        }
    }

    /// The quota that [`Mailbox::quota`] stands for.
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
