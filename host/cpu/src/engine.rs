//! The traits of an engine: a way of executing guest code.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::fmt;

use guest_abi::mode::CpuMode;

use crate::{exit::Exit, state::CpuState};

/// A way of executing guest code: KVM, or an interpreter.
pub trait Engine: Send + Sync {
    /// Returns the engine's name, as the command line has it.
    fn name(&self) -> &str;

    /// Creates a VM with this memory, all zero, and one vCPU in the state after reset.
    ///
    /// # Errors
    ///
    /// The engine refused a call, or the system has no memory left.
    fn create(&self, memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError>;

    /// Returns true if the engine executes code in this mode here. The answer comes from running an instruction.
    ///
    /// # Errors
    ///
    /// The engine could not create the VM for the attempt.
    fn runs(&self, mode: CpuMode) -> Result<bool, EngineError>;

    /// Returns the abilities that a debugger uses, in this mode. The answer comes from running instructions.
    ///
    /// # Errors
    ///
    /// The engine could not create the VM for the attempt.
    fn debug_features(&self, mode: CpuMode) -> Result<DebugFeatures, EngineError>;
}

/// An observer of an engine's calls to the operating system.
pub trait Calls: Send + Sync {
    /// Takes note of a call that is about to be made, and of its purpose.
    fn call(&self, name: &str, purpose: fmt::Arguments<'_>);
}

/// The memory of a VM: ranges of guest-physical addresses, page-aligned, in order and without overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The ranges. An access outside of them is an [`Exit::Mmio`].
    pub ranges: Vec<core::ops::Range<u64>>,
}

impl MemoryPlan {
    /// Returns memory from address 0 to `end`, without holes.
    pub fn below(end: u64) -> Self {
        Self { ranges: core::iter::once(0..end).collect() }
    }
}

/// The abilities of an engine that a debugger uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DebugFeatures {
    /// [`Until::Step`] works.
    pub steps: bool,
    /// The number of breakpoints on instructions.
    pub breakpoints: usize,
    /// The number of watchpoints on data. They share their places with breakpoints.
    pub watchpoints: usize,
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
    /// [`Exit::InterruptWindow`] when it can, or at the end of the next [`Until::Step`].
    ///
    /// # Errors
    ///
    /// The engine refused the call.
    fn interrupt(&mut self, vector: u8) -> Result<bool, EngineError>;

    /// Withdraws the request for an [`Exit::InterruptWindow`].
    fn cancel_interrupt(&mut self);

    /// Completes the instruction of the last exit. Otherwise the next [`run`](Self::run) does so.
    ///
    /// # Errors
    ///
    /// The engine refused the call.
    fn complete(&mut self) -> Result<(), EngineError>;

    /// Returns the CPU's state. An instruction that caused the last exit may not be [complete](Self::complete) in it.
    ///
    /// # Errors
    ///
    /// The engine refused the call.
    fn state(&mut self) -> Result<CpuState, EngineError>;

    /// Sets the CPU's state. An access that the last exit left incomplete is forgotten.
    ///
    /// # Errors
    ///
    /// The engine refused the call, or no CPU can be in the state.
    fn set_state(&mut self, state: &CpuState) -> Result<(), EngineError>;

    /// Returns the state without its costly parts: `debug`, `msrs`, `fpu` and `shadow` may be those of a reset. Debuggers
    /// and tracers ask for it after each instruction.
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state).
    fn registers(&mut self) -> Result<CpuState, EngineError> {
        self.state()
    }

    /// Sets the general registers, the instruction pointer, the flags and the code segment.
    ///
    /// # Errors
    ///
    /// As [`set_state`](Self::set_state).
    fn set_registers(&mut self, registers: &CpuState) -> Result<(), EngineError>;

    /// Returns the instructions that the last [`Until::Step`] executed, once. The last of them may not be
    /// [complete](Self::complete).
    fn stepped(&mut self) -> Stepped;

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

/// The events of one [`Until::Step`].
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
    /// The CPU just before it, as [`Cpu::registers`] returns it.
    pub before: CpuState,
    /// The bytes from the instruction on, as far as there is memory; the others are 0.
    pub code: [u8; MAX_INSTRUCTION],
}

/// The longest instruction in bytes (Intel SDM volume 2A, 2.3.11).
pub const MAX_INSTRUCTION: usize = 15;

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

    /// Returns true if all of a range is memory.
    fn contains(&self, address: u64, len: usize) -> bool;

    /// Sets all memory to zero, as it was when it was new.
    ///
    /// # Errors
    ///
    /// The system refused the call.
    fn clear(&mut self) -> Result<(), EngineError>;

    /// Returns the address at which the host process has a byte of guest memory, if it has one.
    fn host_address(&self, address: u64) -> Option<u64> {
        let _ = address;
        None
    }
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
    /// The system has no memory for the guest.
    #[error("the system gave no {size:#x} bytes of guest memory: {source}")]
    Memory {
        /// The size in bytes.
        size: u64,
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
