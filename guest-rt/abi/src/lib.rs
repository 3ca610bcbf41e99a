//! What the host and its guests must agree on, written once.
//!
//! | module | holds |
//! | --- | --- |
//! | [`layout`] | the guest-physical memory map |
//! | [`mode`] | the CPU modes a guest can run in |
//! | [`note`] | the ELF note by which an image says its ABI version and its mode |
//! | [`test`](mod@test) | the ELF notes by which an image says which tests it has |
//! | [`boot`] | what the host tells a guest before its first instruction |
//! | [`arguments`] | the arguments that a guest is started with |
//! | [`port`] | the hypercalls: which port, which width, which direction |
//! | [`block`] | the request blocks whose addresses hypercalls carry |
//! | [`trap`] | the vectors of exceptions and of the interrupt that the host injects |
//! | [`ring`] | the ring of items and its operations |
//! | [`mailbox`] | how a ring and a turn's orders lie in guest memory; how big a message can be |
//! | [`transition`] | the check of what a guest did to the ring in one turn |
//! | [`digest`] | the running account that both sides keep of the items |
//!
//! The crate is `no_std` and has no `unsafe` of its own. Records that lie in guest memory are
//! `repr(C)`, made of `u32` and `u64` fields without padding, little-endian as x86 is, and convert from and to bytes
//! through `zerocopy`; their sizes are compile-time asserts.

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

/// The version of this ABI. A guest built for another major version is refused; a higher minor
/// version only adds.
pub const VERSION: Version = Version { major: 1, minor: 1 };

/// An ABI version, as an image's note carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Changes when an existing guest or host would misunderstand the other.
    pub major: u16,
    /// Changes when something is added.
    pub minor: u16,
}

impl Version {
    /// Whether a host of version `self` can run a guest of version `guest`: the same major
    /// version, and no minor version that the host does not know yet.
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
