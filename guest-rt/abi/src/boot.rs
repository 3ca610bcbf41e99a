//! The boot information: facts that a guest needs at its start.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The boot information. The host writes it to [`BOOT_INFO`](crate::layout::BOOT_INFO) before the guest starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BootInfo {
    /// [`MAGIC`]; anything else means that no Guestlab host wrote this.
    pub magic: u32,
    /// The size of guest-physical memory in bytes, including holes: one past its last byte.
    pub memory: u32,
    /// The VM's number in its experiment, from 1.
    pub vm: u32,
    /// The seed of the guest's random numbers, and their only source. Never all zero.
    pub seed: [u32; 4],
    /// The length of the guest's [arguments](crate::arguments) in bytes, 0 to
    /// [`MAX_ARGUMENTS_SIZE`](crate::layout::MAX_ARGUMENTS_SIZE).
    pub arguments: u32,
}

/// The value of [`BootInfo::magic`]: `GLAB` in memory.
pub const MAGIC: u32 = u32::from_le_bytes(*b"GLAB");

const _: () = assert!(size_of::<BootInfo>() == 32);
