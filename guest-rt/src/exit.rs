//! Ending the guest.

use crate::hypercall;

/// A guest's exit status. 0 is success; the host ends with status 1 for anything else, and says
/// which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus(pub u32);

impl ExitStatus {
    /// The guest did what it was for.
    pub const SUCCESS: Self = Self(0);
    /// It did not.
    pub const FAILURE: Self = Self(1);
}

/// What a guest's main function may return.
pub trait Termination {
    /// The exit status that the value stands for.
    fn status(self) -> ExitStatus;
}

impl Termination for () {
    fn status(self) -> ExitStatus {
        ExitStatus::SUCCESS
    }
}

impl Termination for ExitStatus {
    fn status(self) -> ExitStatus {
        self
    }
}

/// Ends the guest here.
pub fn exit(status: ExitStatus) -> ! {
    hypercall::exit(status.0)
}
