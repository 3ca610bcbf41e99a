//! Failures to start a guest.

use guest_abi::layout;
use guestlab_cpu::{EngineError, OutOfMemory};

use crate::memory::MemorySizeError;

/// A guest could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// No guest can have this much memory.
    #[error(transparent)]
    Size(#[from] MemorySizeError),
    /// An image lies where its mode does not reach.
    #[error(
        "the image ends at {end:#x}, and in paged mode, with its one page of 4 MiB, it may end at {limit:#x}: load it lower"
    )]
    OutOfReach {
        /// One past the image's last address.
        end: u64,
        /// One past the highest address that it may end at.
        limit: u64,
    },
    /// There are more arguments than there is room for.
    #[error(
        "the arguments have {len} bytes, the end of each included; a guest can be told {}",
        layout::MAX_ARGUMENTS_SIZE
    )]
    Arguments {
        /// Their length in bytes.
        len: usize,
    },
    /// A part of the image is not entirely inside guest memory.
    #[error("{address:#x} ({len} bytes) is not entirely inside guest memory")]
    Range {
        /// The first address.
        address: u64,
        /// The number of bytes.
        len: u64,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The host's own pages are part of the guest's memory plan. So this conversion means a bug.
impl From<OutOfMemory> for BootError {
    fn from(_: OutOfMemory) -> Self {
        Self::Range { address: 0, len: 0 }
    }
}
