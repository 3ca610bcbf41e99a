//! The interface between the host and its guests, defined once.
//!
//! | module | contents |
//! | --- | --- |
//! | [`layout`] | the guest-physical memory map |
//! | [`mode`] | the CPU modes of guests |
//! | [`note`] | the ELF note with an image's ABI version and mode |
//! | [`test`](mod@test) | the ELF notes with an image's tests |
//! | [`boot`] | the boot information of a guest |
//! | [`arguments`] | the arguments of a guest |
//! | [`port`] | the hypercalls: port, width, direction |
//! | [`block`] | the request blocks of hypercalls |
//! | [`trap`] | the vectors of exceptions and of the timer's interrupt |
//! | [`ring`] | the ring of items and its operations |
//! | [`mailbox`] | the layout of a ring and a turn's order in guest memory; the largest message |
//! | [`transition`] | the check of a guest's changes to the ring in one turn |
//! | [`digest`] | the running digest of items, which both sides compute |
//!
//! The crate is `no_std` and forbids `unsafe`. Records in guest memory are `repr(C)`,
//! with `u32` and `u64` fields, without padding, little-endian as x86 is. `zerocopy`
//! converts them from and to bytes. Compile-time assertions check their sizes.

#![no_std]
#![forbid(unsafe_code)]

pub mod arguments;
pub mod block;
pub mod boot;
pub mod digest;
pub mod layout;
pub mod mailbox;
pub mod mode;
pub mod note;
pub mod port;
pub mod ring;
pub mod test;
pub mod transition;
pub mod trap;

/// The version of this ABI. The host refuses a guest of another
/// major version. A higher minor version only adds features.
pub const VERSION: Version = Version { major: 1, minor: 1 };

/// An ABI version, as an image's note carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Increases when an existing guest or host would misunderstand the other.
    pub major: u16,
    /// Increases when a feature is added.
    pub minor: u16,
}

impl Version {
    /// Returns true if a host of version `self` can run a guest of version `guest`: it
    /// has the same major version, and no minor version that is newer than the host's.
    pub const fn accepts(self, guest: Version) -> bool {
        self.major == guest.major && self.minor >= guest.minor
    }
}

impl core::fmt::Display for Version {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_accepts_its_own_major_version_up_to_its_minor_version() {
        let host = Version { major: 1, minor: 2 };
        assert!(host.accepts(Version { major: 1, minor: 0 }));
        assert!(host.accepts(Version { major: 1, minor: 2 }));
        assert!(!host.accepts(Version { major: 1, minor: 3 }));
        assert!(!host.accepts(Version { major: 0, minor: 0 }));
        assert!(!host.accepts(Version { major: 2, minor: 0 }));
    }
}
