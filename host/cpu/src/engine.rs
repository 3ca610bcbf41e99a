//! The traits of an engine: a way of executing guest code.

use alloc::{boxed::Box, string::String, sync::Arc};

use guest_abi::mode::CpuMode;

use crate::{exit::Exit, state::CpuState};

/// A way of executing guest code: KVM, or an interpreter.
pub trait Engine: Send + Sync {
    /// Returns the engine's name, as the command line has it.
    fn name(&self) -> &str;

    /// Returns what the engine can do here. It is found by running instructions, not by names.
    fn features(&self) -> &Features;

    /// Creates a VM with this memory and one vCPU that starts in `state`.
    ///
    /// # Errors
    ///
    /// The engine refused a call, or the system has no memory left.
    fn create(&self, memory: &MemoryPlan, state: &CpuState) -> Result<Box<dyn Cpu>, EngineError>;
}

/// The memory of a VM: ranges of guest-physical addresses, page-aligned, in order and without overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The ranges. An access outside of them is an [`Exit::Mmio`].
    pub ranges: alloc::vec::Vec<core::ops::Range<u64>>,
}

impl MemoryPlan {
    /// Returns memory from address 0 to `end`, without holes.
    pub fn below(end: u64) -> Self {
        Self { ranges: core::iter::once(0..end).collect() }
    }
}

/// The abilities of an engine on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// The CPU modes in which it executes code.
    pub modes: alloc::vec::Vec<CpuMode>,
    /// The number of breakpoints on instructions.
    pub breakpoints: usize,
    /// The number of watchpoints on data.
    pub watchpoints: usize,
    /// [`Cpu::instructions`] counts, and [`Until::Count`] works.
    pub counts_instructions: bool,
}

/// One virtual CPU, with the memory that it runs on.
pub trait Cpu: Send {
    /// Runs the guest until it exits, or at most as far as `until`.
    ///
    /// # Errors
    ///
    /// The engine failed. An exit that the guest caused is never an error.
    fn run(&mut self, until: Until) -> Result<Exit, EngineError>;

    /// Answers the last [`Exit::In`], or a read that was the last [`Exit::Mmio`]: each access reads `value`, cut to
    /// its width. Without an answer they read 0.
    fn answer(&mut self, value: u32);

    /// Queues an interrupt, if the guest can take it now. Otherwise returns false, and the guest leaves with
    /// [`Exit::InterruptWindow`] when it can.
    ///
    /// # Errors
    ///
    /// The engine refused the call.
    fn interrupt(&mut self, vector: u8) -> Result<bool, EngineError>;

    /// Withdraws the request for an [`Exit::InterruptWindow`].
    fn cancel_interrupt(&mut self);

    /// Returns the CPU's state. It completes the port access of the last exit first.
    ///
    /// # Errors
    ///
    /// The engine refused the call.
    fn state(&mut self) -> Result<CpuState, EngineError>;

    /// Sets the CPU's state. It completes the port access of the last exit first.
    ///
    /// # Errors
    ///
    /// The engine refused the call, or the state is not a possible one.
    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError>;

    /// Sets all breakpoints, in place of those before.
    ///
    /// # Errors
    ///
    /// There are more than [`Features`] says, or of a kind that the engine does not have.
    fn set_breakpoints(&mut self, breakpoints: &[Breakpoint]) -> Result<(), EngineError>;

    /// Returns a handle by which another thread makes [`run`](Self::run) return [`Exit::Interrupted`].
    fn kick(&self) -> Arc<dyn Kick>;

    /// Returns the guest's memory, to be read.
    fn memory(&self) -> &dyn GuestMemory;

    /// Returns the guest's memory, to be written.
    fn memory_mut(&mut self) -> &mut dyn GuestMemory;

    /// Returns the number of instructions so far, if the engine counts them.
    ///
    /// An instruction counts when it retires or raises an exception. Each repetition of a string instruction counts
    /// as one, because a run can end between two of them. So a count names one moment of a run.
    fn instructions(&self) -> Option<u64> {
        None
    }
}

/// A handle that stops a running vCPU.
pub trait Kick: Send + Sync {
    /// Makes the vCPU's [`run`](Cpu::run) return [`Exit::Interrupted`]: the current one or the next.
    fn kick(&self);
}

/// Copying access to guest memory. There is no reference into it.
pub trait GuestMemory {
    /// Copies bytes from a guest-physical address.
    ///
    /// # Errors
    ///
    /// The bytes are not all in memory. Then `buffer` holds nothing of use.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), OutOfMemory>;

    /// Copies bytes to a guest-physical address, all or none.
    ///
    /// # Errors
    ///
    /// The bytes would not all be in memory.
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), OutOfMemory>;
}

/// An access that is not entirely inside guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access is not entirely inside guest memory")]
pub struct OutOfMemory;

/// The farthest point that a run may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The next exit.
    Exit,
    /// The end of one instruction; of a repeated string instruction, of one repetition.
    Step,
    /// This many instructions.
    Count(u64),
}

/// A breakpoint or a watchpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakpoint {
    /// The linear address.
    pub address: u64,
    /// The access that meets it.
    pub kind: BreakpointKind,
}

/// The access that meets a breakpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakpointKind {
    /// The instruction at the address is about to be executed.
    Execute,
    /// One of `len` bytes was written: 1, 2, 4 or 8.
    Write {
        /// The number of bytes.
        len: u8,
    },
    /// One of `len` bytes was read or written.
    Access {
        /// The number of bytes.
        len: u8,
    },
}

/// A failure of the engine. It is not the guest's fault.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A call of the engine's interface failed.
    #[error("{call} failed: {source}")]
    Call {
        /// The call's name.
        call: &'static str,
        /// The system's own error.
        source: Box<dyn core::error::Error + Send + Sync>,
    },
    /// The engine cannot do what was asked.
    #[error("{engine} cannot {what}")]
    Unsupported {
        /// The engine's name.
        engine: String,
        /// The thing that it cannot do, as a verb with its object.
        what: &'static str,
    },
}
