//! Counts of executed code.

/// The executions of one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executions {
    /// The instruction's linear address.
    pub address: u64,
    /// The number of executions. A repeated string instruction counts once, also if an exit or an interrupt parts it.
    pub count: u64,
    /// The number of those that jumped, if it is a conditional jump.
    pub jumped: Option<u64>,
}

/// A collector of executed code. CPUs that execute the same code can share one. The counts of a CPU reach it now and then, the
/// last of them when the CPU is dropped.
pub trait Coverage: Send + Sync {
    /// Adds executions to those before. The instructions of a call are in the order of their addresses.
    fn add(&self, code: &[Executions]);
}
