//! Digests of states: equal states have equal digests, and no guest can make two states that differ have one digest.

use core::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

/// The digest of a state: 128 bits of SHA-256.
pub type StateDigest = u128;

/// A hasher of states, by SHA-256. What it hashes depends on the byte order of the host, so that a digest is to be
/// compared with those of the same program only.
#[derive(Clone, Debug, Default)]
pub struct StateHasher(Sha256);

impl StateHasher {
    /// Returns the digest of one value.
    pub fn of(value: &(impl Hash + ?Sized)) -> StateDigest {
        let mut hasher = Self::default();
        value.hash(&mut hasher);
        hasher.digest()
    }

    /// Returns the digest of all that was hashed.
    pub fn digest(self) -> StateDigest {
        let bytes = self.0.finalize();
        bytes.iter().take(16).fold(0, |digest, &byte| digest << 8 | StateDigest::from(byte))
    }
}

impl Hasher for StateHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns a part of the digest.
    fn finish(&self) -> u64 {
        self.0.clone().finalize().iter().take(8).fold(0, |part, &byte| part << 8 | u64::from(byte))
    }
}
