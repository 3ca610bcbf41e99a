//! The end of a guest, with a status for the user.
//!
//! ```ignore
//! fn main() -> Result<(), Trouble> {
//!     work()?;
//!     Ok(())
//! }
//! ```
//!
//! A guest ends when `main` returns; [`exit`] ends it from anywhere. `main` may return nothing
//! (success), an [`ExitStatus`], or a `Result` of these. Use a status to report a result to a
//! script, and a [panic](mod@crate::panic) to report a bug in the guest. One exit.

use core::fmt::Debug;

use crate::{hypercall, println};

/// A guest's exit status. 0 is success. For any other
/// value the host prints the value and ends with status 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus(pub u32);

impl ExitStatus {
    /// The guest succeeded.
    pub const SUCCESS: Self = Self(0);
    /// The guest failed.
    pub const FAILURE: Self = Self(1);
}

/// A type that a guest's main function may return.
#[diagnostic::on_unimplemented(
    message = "a guest's main function cannot return `{Self}`",
    label = "this function returns `{Self}`",
    note = "it returns nothing, an exit status, or a `Result` of these: `fn main()`, `fn main() -> guest_rt::exit::ExitStatus`"
)]
pub trait Termination {
    /// Returns the exit status for this value.
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

/// The return type of a function.
#[doc(hidden)]
pub trait Returns {
    /// The type.
    type Type;
}

impl<T> Returns for fn() -> T {
    type Type = T;
}

/// `main` may be a function that never returns. (Its type, `!`, has no stable name yet.)
impl Termination for <fn() -> ! as Returns>::Type {
    fn status(self) -> ExitStatus {
        self
    }
}

impl<T: Termination, E: Debug> Termination for Result<T, E> {
    /// Prints an error and returns failure for it.
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

/// Ends the guest. One exit.
pub fn exit(status: ExitStatus) -> ! {
    hypercall::exit(status.0)
}
