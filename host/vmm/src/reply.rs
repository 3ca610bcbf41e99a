//! The replies to exits.

use crate::pc::end::End;

/// The next act of the host after an exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Let the guest go on.
    Resume,
    /// Let it go on with this in EAX.
    Answer(u32),
    /// Let it go on when its timer's interrupt is due.
    Wait,
    /// Leave it stopped.
    Stop(StopReason),
}

/// The reason why a guest stays stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It has attached its mailbox and waits for its first turn.
    Attached,
    /// It has ended its turn and waits for the next.
    TurnEnded,
    /// It prints, and the output cannot be written.
    OutputClosed,
    /// It is done, with this status.
    Exited(u32),
    /// It is done, by `hlt`: a guest that others built.
    Halted,
    /// It is done, by a device of `--pc`.
    Device(End),
    /// It panicked.
    Panicked(PanicReport),
}

/// A guest's panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanicReport {
    /// The message, as the guest wrote it.
    pub message: Vec<u8>,
    /// The source file, as the guest wrote it.
    pub file: Vec<u8>,
    /// The line, from 1; 0 where the guest knew none.
    pub line: u32,
    /// The column, from 1; 0 where the guest knew none.
    pub column: u32,
}
