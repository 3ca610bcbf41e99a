//! The keys of a view.

/// A key that the view knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// Up.
    Up,
    /// Down.
    Down,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Enter.
    Enter,
    /// Backspace, which takes the last character back.
    Backspace,
    /// The tabulator.
    Tab,
    /// Escape.
    Escape,
    /// Ctrl-C.
    Interrupt,
}
