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
#[diagnostic::on_unimplemented(
    message = "a guest's main function cannot return `{Self}`",
    label = "this function returns `{Self}`",
    note = "it returns nothing, or an exit status: `fn main()`, `fn main() -> guest_rt::exit::ExitStatus`"
)]
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

/// The type of what a function returns.
#[doc(hidden)]
pub trait Returns {
    /// It.
    type Type;
}

impl<T> Returns for fn() -> T {
    type Type = T;
}

/// A function that does not return is one, too. (Its type, `!`, has no name of its own yet.)
impl Termination for <fn() -> ! as Returns>::Type {
    fn status(self) -> ExitStatus {
        self
    }
}

/// Ends the guest here.
pub fn exit(status: ExitStatus) -> ! {
    hypercall::exit(status.0)
}
