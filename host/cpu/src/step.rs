//! The events of a single step.

use alloc::vec::Vec;

use crate::state::CpuState;

/// The events of one [`Until::Step`](crate::Until::Step).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// None: another thread or a signal stopped the vCPU first.
    Nothing,
    /// The guest is at the first instruction of a handler.
    Delivery(Delivery),
    /// Instructions were executed: one, or two where the CPU has no end of a step between them. Of a repeated string
    /// instruction it can be one repetition.
    Instructions(Vec<Executed>),
}

/// The cause of a handler's call between two instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An interrupt.
    Interrupt,
    /// A debug exception that the guest set up itself, by the trap flag or its debug registers.
    DebugException,
}

/// An instruction that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The CPU just before it, as [`Cpu::registers`](crate::Cpu::registers) returns it.
    pub before: CpuState,
    /// The bytes from the instruction on, as far as there is memory; the others are 0.
    pub code: [u8; MAX_INSTRUCTION],
}

/// The longest instruction in bytes (Intel SDM volume 2A, 2.3.11).
pub const MAX_INSTRUCTION: usize = 15;
