//! The input from the terminal.

use crate::tui::keys::Key;

/// The input from the terminal.
#[derive(Debug)]
pub(crate) enum Input {
    /// Keys, perhaps none.
    Keys(Vec<Key>),
    /// The terminal is gone.
    Gone,
}
