//! The moments at which a machine sees to a guest that does not leave by itself.

use std::time::Instant;

/// The moments at which a machine sees to a guest that does not leave by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wake {
    /// The time at which the machine returns even without an exit.
    pub(crate) at: Option<Instant>,
    /// The pauses of the guest.
    pub(crate) pauses: Vec<Pause>,
}

/// A pause of a guest: it stands still until its timer is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// The number of instructions before it.
    pub(crate) at: u64,
    /// A timer was set there.
    pub(crate) is_made: bool,
}
