//! The items of `files.rs`, `heap.rs` and `privileges.rs` for systems other than Linux. They do nothing.

use std::io;

/// Changes nothing: there is no jail that the heap must not leave.
pub fn share_one_arena() {}

/// Changes nothing, too.
pub fn share_arenas(_: usize) {}

/// Remembers nothing.
pub fn note_inherited_files() {}

/// Closes nothing.
pub(super) fn close_inherited() {}

/// Gives up nothing.
///
/// # Errors
///
/// None.
pub fn give_up_rights() -> io::Result<()> {
    Ok(())
}

/// Gives up nothing.
///
/// # Errors
///
/// None.
pub fn shed_set_user_id() -> io::Result<()> {
    Ok(())
}
