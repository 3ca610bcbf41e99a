//! Ending the guest, with a status for whoever ran it.
//!
//! ```ignore
//! fn main() -> Result<(), Trouble> {
//!     work()?;
//!     Ok(())
//! }
//! ```
//!
//! A guest ends when `main` returns; [`exit`] ends it from anywhere. `main` may return nothing, which is
//! success, an [`ExitStatus`], or a `Result` of these. Use a status for a result that a script is to see, and
//! a [panic](mod@crate::panic) for what must not happen. One exit.

use core::fmt::Debug;

use crate::{hypercall, println};

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
    note = "it returns nothing, an exit status, or a `Result` of these: `fn main()`, `fn main() -> guest_rt::exit::ExitStatus`"
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

impl<T: Termination, E: Debug> Termination for Result<T, E> {
    /// An error is printed, and is a failure.
    fn status(self) -> ExitStatus {
        match self {
            Ok(value) => value.status(),
            Err(error) => {
                println!("Error: {error:?}");
                ExitStatus::FAILURE
            }
        }
    }
}

/// Ends the guest here. One exit.
pub fn exit(status: ExitStatus) -> ! {
    hypercall::exit(status.0)
}
