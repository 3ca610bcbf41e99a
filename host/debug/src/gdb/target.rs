//! The guest as gdb's target: gdb's requests, served by the vCPU.

use gdbstub::{
    common::Signal,
    target::{
        Target, TargetError, TargetResult,
        ext::{
            base::{
                BaseOps,
                reverse_exec::{ReverseCont, ReverseContOps, ReverseStep, ReverseStepOps},
                singlethread::{
                    SingleThreadBase, SingleThreadRangeStepping, SingleThreadRangeSteppingOps,
                    SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
                    SingleThreadSingleStepOps,
                },
            },
            breakpoints::{
                Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
                SwBreakpoint, SwBreakpointOps, WatchKind,
            },
            host_io::{
                HostIo, HostIoClose, HostIoCloseOps, HostIoError, HostIoOpen, HostIoOpenFlags,
                HostIoOpenMode, HostIoOpenOps, HostIoOps, HostIoPread, HostIoPreadOps, HostIoResult,
            },
        },
    },
};

use super::{
    arch::GuestArch,
    breakpoints::{Break, Points, Watch},
    host_files::HostFiles,
};
use guestlab_cpu::{Cpu, EngineError, walk};
use guestlab_vmm::Lent;

/// gdb's request to a guest that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// Run until a breakpoint, a watchpoint or an interrupt by gdb.
    Continue,
    /// Execute one instruction.
    Step,
    /// Execute instructions until one is outside of these addresses.
    Range(u64, u64),
}

/// gdb's request to go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// By one instruction.
    Step,
    /// To the last breakpoint or watchpoint.
    Continue,
}

/// The guest's vCPU, and gdb's breakpoints.
pub(super) struct Guest<A> {
    /// The machine's vCPU while the guest is stopped for gdb; otherwise a placeholder.
    pub(super) cpu: Box<dyn Cpu>,
    pub(super) points: Points,
    /// gdb's last request. `fresh` is true until the guest begins with it.
    pub(super) resume: Resume,
    pub(super) fresh: bool,
    /// gdb's request to go back, until it is served.
    pub(super) back: Option<Back>,
    /// The engine can go back.
    pub(super) goes_back: bool,
    /// gdb's user has changed registers or memory.
    pub(super) is_changed: bool,
    /// What gdb reads of the process that it takes the guest for.
    pub(super) files: HostFiles,
    arch: std::marker::PhantomData<A>,
}

/// Error number of the remote protocol for an address that is not there.
const EFAULT: u8 = 14;

impl<A: GuestArch> Guest<A> {
    pub(super) fn new() -> Self {
        let arch = std::marker::PhantomData;
        let cpu = Box::new(Lent);
        Self {
            cpu,
            points: Points::default(),
            resume: Resume::Continue,
            fresh: true,
            back: None,
            goes_back: false,
            is_changed: false,
            files: HostFiles::default(),
            arch,
        }
    }

    fn set(&mut self, resume: Resume) {
        (self.resume, self.fresh) = (resume, true);
    }

    fn add_break(&mut self, address: A::Usize, hardware: bool) -> bool {
        let new = Break { address: A::address(address), hardware };
        let is_there = self.points.breaks.contains(&new);
        if !is_there && self.points.has_room() {
            self.points.breaks.push(new);
            return true;
        }
        is_there
    }

    fn remove_break(&mut self, address: A::Usize, hardware: bool) -> bool {
        let old = Break { address: A::address(address), hardware };
        let count = self.points.breaks.len();
        self.points.breaks.retain(|b| *b != old);
        self.points.breaks.len() < count
    }
}

impl<A: GuestArch> Target for Guest<A> {
    type Arch = A;
    type Error = EngineError;

    fn base_ops(&mut self) -> BaseOps<'_, A, EngineError> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_host_io(&mut self) -> Option<HostIoOps<'_, Self>> {
        Some(self)
    }
}

impl<A: GuestArch> SingleThreadBase for Guest<A> {
    fn read_registers(&mut self, registers: &mut A::Registers) -> TargetResult<(), Self> {
        *registers = A::to_gdb(&self.cpu.state().map_err(TargetError::Fatal)?);
        Ok(())
    }

    fn write_registers(&mut self, gdb: &A::Registers) -> TargetResult<(), Self> {
        let before = self.cpu.state().map_err(TargetError::Fatal)?;
        let mut state = before.clone();
        if !A::from_gdb(gdb, &mut state) {
            return Err(TargetError::Errno(EFAULT));
        }
        self.is_changed = true;
        // The engine refuses values that no CPU can have: report that to gdb's user.
        let outcome = self.cpu.set_registers(&state).and_then(|()| match state.fpu == before.fpu {
            true => Ok(()),
            false => self.cpu.set_fpu(&state.fpu),
        });
        outcome.map_err(|_| TargetError::NonFatal)
    }

    fn read_addrs(&mut self, start: A::Usize, data: &mut [u8]) -> TargetResult<usize, Self> {
        let registers = self.cpu.registers().map_err(TargetError::Fatal)?;
        match walk::read_linear(&registers, self.cpu.memory(), A::address(start), data) {
            0 if !data.is_empty() => Err(TargetError::Errno(EFAULT)),
            there => Ok(there),
        }
    }

    fn write_addrs(&mut self, start: A::Usize, data: &[u8]) -> TargetResult<(), Self> {
        self.is_changed = true;
        let registers = self.cpu.registers().map_err(TargetError::Fatal)?;
        match walk::write_linear(&registers, self.cpu.memory_mut(), A::address(start), data) {
            true => Ok(()),
            false => Err(TargetError::Errno(EFAULT)),
        }
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl<A: GuestArch> SingleThreadResume for Guest<A> {
    fn resume(&mut self, _: Option<Signal>) -> Result<(), EngineError> {
        self.set(Resume::Continue);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_range_step(&mut self) -> Option<SingleThreadRangeSteppingOps<'_, Self>> {
        Some(self)
    }

    fn support_reverse_step(&mut self) -> Option<ReverseStepOps<'_, (), Self>> {
        if self.goes_back { Some(self) } else { None }
    }

    fn support_reverse_cont(&mut self) -> Option<ReverseContOps<'_, (), Self>> {
        if self.goes_back { Some(self) } else { None }
    }
}

impl<A: GuestArch> ReverseStep<()> for Guest<A> {
    fn reverse_step(&mut self, (): ()) -> Result<(), EngineError> {
        self.back = Some(Back::Step);
        Ok(())
    }
}

impl<A: GuestArch> ReverseCont<()> for Guest<A> {
    fn reverse_cont(&mut self) -> Result<(), EngineError> {
        self.back = Some(Back::Continue);
        Ok(())
    }
}

impl<A: GuestArch> SingleThreadSingleStep for Guest<A> {
    fn step(&mut self, _: Option<Signal>) -> Result<(), EngineError> {
        self.set(Resume::Step);
        Ok(())
    }
}

impl<A: GuestArch> SingleThreadRangeStepping for Guest<A> {
    fn resume_range_step(&mut self, start: A::Usize, end: A::Usize) -> Result<(), EngineError> {
        self.set(Resume::Range(A::address(start), A::address(end)));
        Ok(())
    }
}

impl<A: GuestArch> Breakpoints for Guest<A> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl<A: GuestArch> SwBreakpoint for Guest<A> {
    fn add_sw_breakpoint(&mut self, address: A::Usize, _: A::BreakpointKind) -> TargetResult<bool, Self> {
        Ok(self.add_break(address, false))
    }

    fn remove_sw_breakpoint(&mut self, address: A::Usize, _: A::BreakpointKind) -> TargetResult<bool, Self> {
        Ok(self.remove_break(address, false))
    }
}

impl<A: GuestArch> HwBreakpoint for Guest<A> {
    fn add_hw_breakpoint(&mut self, address: A::Usize, _: A::BreakpointKind) -> TargetResult<bool, Self> {
        Ok(self.add_break(address, true))
    }

    fn remove_hw_breakpoint(&mut self, address: A::Usize, _: A::BreakpointKind) -> TargetResult<bool, Self> {
        Ok(self.remove_break(address, true))
    }
}

impl<A: GuestArch> HwWatchpoint for Guest<A> {
    fn add_hw_watchpoint(
        &mut self,
        address: A::Usize,
        len: A::Usize,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        let new = Watch { address: A::address(address), len: A::address(len), kind };
        let has_room = self.points.has_room();
        if has_room {
            self.points.watches.push(new);
        }
        Ok(has_room)
    }

    fn remove_hw_watchpoint(
        &mut self,
        address: A::Usize,
        len: A::Usize,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        let old = Watch { address: A::address(address), len: A::address(len), kind };
        let index = self.points.watches.iter().position(|watch| *watch == old);
        index.map(|index| self.points.watches.remove(index));
        Ok(index.is_some())
    }
}

impl<A: GuestArch> HostIo for Guest<A> {
    fn support_open(&mut self) -> Option<HostIoOpenOps<'_, Self>> {
        Some(self)
    }

    fn support_close(&mut self) -> Option<HostIoCloseOps<'_, Self>> {
        Some(self)
    }

    fn support_pread(&mut self) -> Option<HostIoPreadOps<'_, Self>> {
        Some(self)
    }
}

impl<A: GuestArch> HostIoOpen for Guest<A> {
    fn open(&mut self, path: &[u8], flags: HostIoOpenFlags, _: HostIoOpenMode) -> HostIoResult<u32, Self> {
        let state = self.cpu.registers().map_err(HostIoError::Fatal)?;
        self.files.open(path, flags, &state, self.cpu.memory()).map_err(HostIoError::Errno)
    }
}

impl<A: GuestArch> HostIoClose for Guest<A> {
    fn close(&mut self, file: u32) -> HostIoResult<(), Self> {
        self.files.close(file).map_err(HostIoError::Errno)
    }
}

impl<A: GuestArch> HostIoPread for Guest<A> {
    fn pread(
        &mut self,
        file: u32,
        count: usize,
        offset: u64,
        buffer: &mut [u8],
    ) -> HostIoResult<usize, Self> {
        let len = count.min(buffer.len());
        self.files.read(file, offset, &mut buffer[..len]).map_err(HostIoError::Errno)
    }
}
