//! The interpreter: instructions a second, an exit, a new CPU, and many of them.

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, Engine, Exit, GuestMemory, MemoryPlan, Until};
use guestlab_soft::Soft;

use super::{Outcome, as_f64, clock::cpu_time, mean_us, rate, values};

/// `again: add eax, ebx; xor ecx, eax; mov [esi], ecx; dec edx; jnz again`, the same bytes in 32- and 64-bit code.
const LOOP: [u8; 11] = [0x01, 0xD8, 0x31, 0xC1, 0x89, 0x0E, 0xFF, 0xCA, 0x75, 0xF6, 0xF4];

/// `again: out 0xEB, eax; jmp again`.
const OUT: [u8; 4] = [0xE7, 0xEB, 0xEB, 0xFC];

const ENTRY: u32 = 0x7000;
const TABLE: u32 = 0x1000;
const MEMORY: u64 = 2 << 20;

pub(super) fn measure(mode: &str, instructions: u64, exits: u64, cpus: u64) -> Outcome {
    let mode = CpuMode::ALL.into_iter().find(|known| known.name() == mode).ok_or("no such mode")?;
    let mut cpu = started(mode, &LOOP)?;
    let began = cpu_time();
    cpu.run(Until::Count(instructions))?;
    let spent = cpu_time() - began;
    assert_eq!(cpu.instructions(), Some(instructions), "the loop ended early");

    let mut cpu = started(mode, &OUT)?;
    let began_exits = cpu_time();
    for _ in 0..exits {
        match cpu.run(Until::Exit)? {
            Exit::Out { .. } => {}
            exit => return Err(format!("the guest stopped: {exit:?}").into()),
        }
    }
    let spent_on_exits = cpu_time() - began_exits;

    let began_creating = cpu_time();
    let many = (0..cpus).map(|_| Soft.create(&MemoryPlan::below(MEMORY))).collect::<Result<Vec<_>, _>>()?;
    let spent_on_creating = cpu_time() - began_creating;
    drop(many);
    Ok(values([
        ("mips", rate(instructions, spent) / 1e6),
        ("exit_ns", mean_us(spent_on_exits, exits) * 1e3),
        ("create_us", mean_us(spent_on_creating, cpus)),
        ("cpu_kib", as_f64(0)),
    ]))
}

/// Creates a CPU at this code. Its page table maps the first 4 MiB (32-bit paging), or 2 MiB (long mode), to themselves.
fn started(mode: CpuMode, code: &[u8]) -> Result<Box<dyn Cpu>, Box<dyn std::error::Error>> {
    let mut cpu = Soft.create(&MemoryPlan::below(MEMORY))?;
    let mut state = CpuState::flat(mode, ENTRY, ENTRY, TABLE);
    state.general[2] = u64::from(u32::MAX);
    state.general[6] = 0x8000;
    let memory = cpu.memory_mut();
    memory.write(ENTRY.into(), code)?;
    const LARGE: u64 = 0x83;
    const TABLE_ENTRY: u64 = 0x3;
    match mode {
        CpuMode::Real | CpuMode::Protected => {}
        CpuMode::Paged => memory.write(TABLE.into(), &LARGE.to_le_bytes())?,
        CpuMode::Long => {
            memory.write(0x1000, &(0x2000 | TABLE_ENTRY).to_le_bytes())?;
            memory.write(0x2000, &(0x3000 | TABLE_ENTRY).to_le_bytes())?;
            memory.write(0x3000, &LARGE.to_le_bytes())?;
        }
    }
    cpu.set_state(&state)?;
    Ok(cpu)
}
