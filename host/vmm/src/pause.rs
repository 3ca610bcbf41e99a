//! A pause of a guest: it stands still until its timer is due.

/// A pause of a guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// The number of instructions before it.
    pub(crate) at: u64,
    /// A timer was set there.
    pub(crate) is_made: bool,
}
