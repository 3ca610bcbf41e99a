//! The arguments of this guest: text, such as a size or a
//! name, that is chosen for each run instead of compiled in.
//!
//! ```ignore
//! let name = arguments().next().unwrap_or("nobody");
//! ```
//!
//! `cargo xtask run NAME -- ARGUMENT...` sets the arguments of a guest that runs alone. An experiment's
//! file sets those of its guests. For data that changes during a run use a [mailbox](crate::mailbox).
//! The host writes the arguments into memory before the first instruction: no exit.

pub use guest_abi::arguments::Arguments;
use guest_abi::layout;

use crate::boot;

/// Returns this guest's arguments, in order and without the guest's own name. Never
/// panics: it ignores bytes beyond [`MAX_ARGUMENTS_SIZE`](layout::MAX_ARGUMENTS_SIZE).
/// [`Arguments`] documents its reading of bytes that are not UTF-8.
pub fn arguments() -> Arguments<'static> {
    let len = boot::info().arguments.min(layout::MAX_ARGUMENTS_SIZE);
    let start = core::ptr::with_exposed_provenance::<u8>(layout::ARGUMENTS as usize);
    // SAFETY: these bytes are memory of this guest (guest_abi::layout). Only
    // the host writes them, and only before the guest's first instruction.
    Arguments::new(unsafe { core::slice::from_raw_parts(start, len as usize) })
}
