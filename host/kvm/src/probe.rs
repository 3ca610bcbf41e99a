//! The abilities of this machine's KVM, found by running tiny guests.

use guest_abi::{layout::PAGE_SIZE, mode::CpuMode};
use guestlab_cpu::{
    Breakpoint, BreakpointKind, Cpu, CpuState, DebugFeatures, EngineError, Exit, MemoryPlan, Until,
    identity::{FOUR_LEVELS_SIZE, four_levels, one_large_page},
};

use crate::{cpu::KvmCpu, debug_registers::MAX_POINTS, device::Kvm};

/// `hlt`.
const HLT: [u8; 1] = [0xF4];

/// `nop`, a push of the accumulator, `hlt`: all modes read them alike.
const CODE: [u8; 3] = [0x90, 0x50, 0xF4];

/// The address of the push.
const PUSH: u64 = 1;

/// The top of the guest's stack. The push has at least 2 bytes.
const STACK: u32 = PAGE_SIZE / 2;

/// Returns a guest with this code at 0 in its one page. Page tables lie behind the page.
fn tiny(kvm: &Kvm, mode: CpuMode, code: &[u8]) -> Result<KvmCpu, EngineError> {
    let tables = match mode {
        CpuMode::Real | CpuMode::Protected => Vec::new(),
        CpuMode::Paged => one_large_page(),
        CpuMode::Long => four_levels(PAGE_SIZE),
    };
    let memory = MemoryPlan::below(u64::from(PAGE_SIZE + FOUR_LEVELS_SIZE));
    let mut cpu = KvmCpu::new(kvm, &memory, Some(&kvm.features))?;
    for (address, bytes) in [(0, code), (PAGE_SIZE.into(), &tables)] {
        cpu.memory_mut().write(address, bytes).map_err(|source| EngineError::Call {
            call: "a write to the memory of a tiny guest",
            source: source.into(),
        })?;
    }
    cpu.set_state(&CpuState::flat(mode, 0, STACK, PAGE_SIZE))?;
    Ok(cpu)
}

/// Runs a CPU to its next exit that no signal caused.
fn exit(cpu: &mut KvmCpu, until: Until) -> Result<Exit, EngineError> {
    loop {
        match cpu.run(until)? {
            Exit::Interrupted => {}
            exit => return Ok(exit),
        }
    }
}

/// Returns true if KVM runs a mode here.
pub(crate) fn runs(kvm: &Kvm, mode: CpuMode) -> Result<bool, EngineError> {
    let purpose =
        format_args!("first a guest of one instruction, to see whether {} mode works here", mode.name());
    kvm.calls.call("probe", purpose);
    Ok(matches!(exit(&mut tiny(kvm, mode, &HLT)?, Until::Exit)?, Exit::Halt { .. }))
}

/// Returns the abilities for a debugger in a mode.
pub(crate) fn debug_features(kvm: &Kvm, mode: CpuMode) -> Result<DebugFeatures, EngineError> {
    let stops = |until, points: &[Breakpoint]| {
        let mut cpu = tiny(kvm, mode, &CODE)?;
        cpu.set_breakpoints(points)?;
        Ok::<_, EngineError>(matches!(exit(&mut cpu, until)?, Exit::Debug { .. }))
    };
    let places = |kind, address| {
        Ok::<_, EngineError>(if stops(Until::Exit, &[Breakpoint { address, kind }])? {
            MAX_POINTS
        } else {
            0
        })
    };
    Ok(DebugFeatures {
        steps: cfg!(feature = "steps") && stops(Until::Step, &[])?,
        breakpoints: places(BreakpointKind::Execute, PUSH)?,
        watchpoints: places(BreakpointKind::Write { len: 2 }, u64::from(STACK) - 2)?,
    })
}
