//! The running digest of items, which both sides compute. It
//! proves that the consumed items are the produced ones, in order.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A running digest of a sequence of items: their number, and FNV-1a over them, one word
/// per step (one multiplication per item, because guests pay for their instructions).
/// The digests of two sequences of equal length that differ in one item always differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Digest {
    /// The number of items, modulo 2^32.
    pub items: u32,
    /// The hash of the items.
    pub hash: u32,
}

impl Digest {
    /// The digest of no items.
    pub const EMPTY: Self = Self { items: 0, hash: 0x811C_9DC5 };

    /// Returns the digest of this sequence with one more item.
    #[must_use]
    pub const fn with(self, item: u32) -> Self {
        Self { items: self.items.wrapping_add(1), hash: Self::mix(self.hash, item) }
    }

    /// Returns the hash of a sequence with one more item.
    #[must_use]
    pub const fn mix(hash: u32, item: u32) -> u32 {
        (hash ^ item).wrapping_mul(0x0100_0193)
    }

    /// Returns the digest of this sequence with these items appended.
    #[must_use]
    pub fn with_all(self, items: &[u32]) -> Self {
        items.iter().fold(self, |digest, &item| digest.with(item))
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::EMPTY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_number_of_items_count() {
        let digest = |items: &[u32]| Digest::EMPTY.with_all(items);
        assert_eq!(digest(&[]), Digest::EMPTY);
        assert_ne!(digest(&[1, 2]), digest(&[2, 1]));
        assert_ne!(digest(&[0]), digest(&[0, 0]));
        assert_eq!(digest(&[1]).with(2), digest(&[1, 2]));
    }
}
