//! The arguments that this guest was started with: text, such as a size or a name, that is not to be
//! compiled into it.
//!
//! ```ignore
//! let name = arguments().next().unwrap_or("nobody");
//! ```
//!
//! `cargo xtask run NAME -- ARGUMENT...` gives them to a guest that runs alone; an experiment's file has those of
//! its guests. They are what a run can be told; what comes during a run is a [mailbox](crate::mailbox)'s. The
//! host has written them into memory before the first instruction: no exit.

pub use guest_abi::arguments::Arguments;
use guest_abi::layout;

use crate::boot;

/// This guest's arguments, the first one first: its own name is not among them. Never panics:
/// what lies beyond [`MAX_ARGUMENTS_SIZE`](layout::MAX_ARGUMENTS_SIZE) is not read, and [`Arguments`]
/// says what becomes of bytes that are not text.
pub fn arguments() -> Arguments<'static> {
    let len = boot::info().arguments.min(layout::MAX_ARGUMENTS_SIZE);
    let start = core::ptr::with_exposed_provenance::<u8>(layout::ARGUMENTS as usize);
    // SAFETY: that many bytes from there on are memory of this guest's (guest_abi::layout) that
    // nothing but the host writes, and only before the guest's first instruction.
    Arguments::new(unsafe { core::slice::from_raw_parts(start, len as usize) })
}
