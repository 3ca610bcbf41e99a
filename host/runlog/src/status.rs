//! The exit status that a run's log leads to.

/// The exit status of the program. The numbers are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// All went well.
    Success = 0,
    /// A guest reported failure: a panic, or an exit status that is not 0.
    GuestFailed = 1,
    /// Bad usage or bad input.
    BadInput = 2,
    /// A guest crashed or broke the protocol.
    GuestCrashed = 3,
    /// The deadline passed, or another limit was reached.
    Limit = 4,
    /// This machine cannot run it.
    Machine = 5,
    /// A bug of ours.
    Bug = 70,
}

impl Status {
    /// The status of a run in which a guest ended in this way, named as a crash's `reason` is.
    pub fn of_end(name: &str) -> Self {
        match name {
            "exit" | "panic" => Self::GuestFailed,
            "deadline" | "turn-timeout" | "max-exits" => Self::Limit,
            _ => Self::GuestCrashed,
        }
    }
}
