//! The traits of an engine: a way of executing guest code.

use alloc::{boxed::Box, sync::Arc};
use core::{any::Any, fmt};

use guest_abi::mode::CpuMode;

use crate::{
    breakpoint::Breakpoint,
    digest::{StateDigest, StateHasher},
    error::EngineError,
    exit::Exit,
    fpu::FpuState,
    memory::{GuestMemory, MemoryPlan},
    state::CpuState,
    step::Stepped,
};

/// The name of the engine that is KVM, of which some messages have more to say.
pub const KVM: &str = "kvm";

/// The length of a tick of a CPU that counts its time, in nanoseconds. The rate of 100 MHz is near the speed of an
/// interpreter, so that a guest's second is about a second of the host.
pub const TICK: u64 = 10;

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

    /// Creates a VM as [`create`](Self::create) does, for a guest that depends on no optional feature of the CPU: it
    /// executes neither `cpuid` nor an instruction or a control bit that `cpuid` reports. An engine may leave them out.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    fn create_without_features(&self, memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError> {
        self.create(memory)
    }

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
    /// Observes a call just before it is made. `purpose` says why it is made.
    fn call(&self, name: &str, purpose: fmt::Arguments<'_>);
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
pub trait Cpu: Any + Send {
    /// Runs the guest until it exits, or at most as far as `until`. It may return [`Exit::Interrupted`] at any time, for its
    /// caller to look at the clock.
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

    /// Sets the registers of x87 and SSE.
    ///
    /// # Errors
    ///
    /// As [`set_state`](Self::set_state).
    fn set_fpu(&mut self, fpu: &FpuState) -> Result<(), EngineError>;

    /// Returns the instructions that the last [`Until::Step`] executed, once. The last of them may not be
    /// [complete](Self::complete).
    fn stepped(&mut self) -> Stepped;

    /// Sets all breakpoints, in place of those before.
    ///
    /// # Errors
    ///
    /// There are more than [`DebugFeatures`] says, or the engine does not have their kind.
    fn set_breakpoints(&mut self, breakpoints: &[Breakpoint]) -> Result<(), EngineError>;

    /// Returns a handle by which another thread makes [`run`](Self::run) return [`Exit::Interrupted`].
    fn kick(&self) -> Arc<dyn Kick>;

    /// Returns the guest's memory, to be read.
    fn memory(&self) -> &dyn GuestMemory;

    /// Returns the guest's memory, to be written.
    fn memory_mut(&mut self) -> &mut dyn GuestMemory;

    /// Returns the number of instructions so far, if the engine counts them: those that have retired or raised an exception. Each
    /// repetition of a string instruction is one, because a run can end between two. So a count names one moment of a run.
    fn instructions(&self) -> Option<u64> {
        None
    }

    /// Returns another CPU in the same state between two instructions, with memory of the same bytes. The two share nothing that
    /// one can change. `None` means that the engine cannot copy a CPU. Breakpoints and handles for kicks are not copied.
    fn fork(&mut self) -> Option<Box<dyn Cpu>> {
        None
    }

    /// Returns to the state of an earlier [`fork`](Self::fork), which must not have run since, and must have memory of the
    /// same ranges. It costs time for the pages that differ. Returns false, and does nothing, if the engine cannot.
    /// Handles for kicks stay, and breakpoints are gone.
    fn return_to(&mut self, _earlier: &mut dyn Cpu) -> bool {
        false
    }

    /// Returns the digest of all that the next instructions depend on, but for the time: the state, and memory. The last exit
    /// must be [complete](Self::complete).
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state).
    fn digest(&mut self) -> Result<StateDigest, EngineError> {
        let state = self.state()?;
        Ok(StateHasher::of(&(state, self.memory().digest())))
    }

    /// Returns false if the guest has not read a time-stamp counter since its VM was created: then nothing that it did depends
    /// on the time by that. An engine that does not know it returns true.
    fn has_read_time(&self) -> bool {
        true
    }

    /// Returns the CPU's time in ticks of [`TICK`] nanoseconds, if it counts its time: one tick for each instruction, and
    /// those that [`set_ticks`](Self::set_ticks) let pass. Such a time is the same in each run. `None` means that time
    /// passes for the guest as it does for the host.
    fn ticks(&self) -> Option<u64> {
        None
    }

    /// Sets the counted time. A CPU that does not count its time ignores it, and the alarm.
    fn set_ticks(&mut self, _ticks: u64) {}

    /// Sets the counted time at which [`run`](Self::run) returns [`Exit::Interrupted`], once; `None` is never.
    fn set_alarm(&mut self, _ticks: Option<u64>) {}

    /// Counts executed code for this collector from now on, in forks, too; `None` ends it. Returns false if it cannot.
    fn set_coverage(&mut self, _coverage: Option<Arc<dyn crate::coverage::Coverage>>) -> bool {
        false
    }
}

/// A handle that stops a running vCPU.
pub trait Kick: Send + Sync {
    /// Makes the vCPU's [`run`](Cpu::run) return [`Exit::Interrupted`]: the current one or the next.
    fn kick(&self);
}

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
