//! The interpreter: instructions a second, an exit, a new CPU, and many of them.

use std::{error::Error, time::Duration};

use guest_abi::mode::CpuMode;
use guestlab_cpu::{
    Cpu, CpuState, Engine, Exit, MemoryPlan, PAGE, Until,
    identity::{four_levels, one_large_page},
    state::reg,
};
use guestlab_soft::Soft;

use super::{Outcome, as_f64, clock::cpu_time, crowd::Resident, mean_us, rate, values};

/// `again: add eax, ebx; xor ecx, eax; mov [esi], ecx; dec edx; jnz again`, the same bytes in 32- and 64-bit code.
const LOOP: [u8; 11] = [0x01, 0xD8, 0x31, 0xC1, 0x89, 0x0E, 0xFF, 0xCA, 0x75, 0xF6, 0xF4];

/// `again: out 0xEB, eax; jmp again`.
const OUT: [u8; 4] = [0xE7, 0xEB, 0xEB, 0xFC];

/// The addresses of code, page tables and data, and the end of memory.
const CODE: u32 = 0x7000;
const TABLES: u32 = 0x1_0000;
const DATA: u64 = 0x8000;
const MEMORY: u64 = 2 << 20;

type Cpus = Vec<Box<dyn Cpu>>;

pub(super) fn measure(mode: &str, instructions: u64, exits: u64, cpus: u64) -> Outcome {
    let mode = CpuMode::ALL.into_iter().find(|known| known.name() == mode).ok_or("no such mode")?;
    let before = Resident::now()?.total();
    let (create_us, many) = create(mode, cpus)?;
    let idle_mib = as_f64(Resident::now()?.total().saturating_sub(before)) / 1024.0;
    drop(many);
    Ok(values([
        ("mips", rate(instructions, count(mode, instructions)?) / 1e6),
        ("exit_ns", mean_us(leave(mode, exits)?, exits) * 1e3),
        ("create_us", create_us),
        ("moment_us", mean_us(return_from(mode, 0)?, MOMENTS)),
        ("moment_32_us", mean_us(return_from(mode, 32)?, MOMENTS)),
        ("idle_mib", idle_mib),
    ]))
}

/// Returns the time that so many instructions take.
fn count(mode: CpuMode, instructions: u64) -> Result<Duration, Box<dyn Error>> {
    let mut cpu = started(mode, &LOOP)?;
    let began = cpu_time();
    cpu.run(Until::Count(instructions))?;
    match cpu.instructions() {
        Some(counted) if counted == instructions => Ok(cpu_time() - began),
        counted => Err(format!("the loop ended early: {counted:?}").into()),
    }
}

/// Returns the time that so many exits take.
fn leave(mode: CpuMode, exits: u64) -> Result<Duration, Box<dyn Error>> {
    let mut cpu = started(mode, &OUT)?;
    let began = cpu_time();
    for _ in 0..exits {
        match cpu.run(Until::Exit)? {
            Exit::Out { .. } => {}
            exit => return Err(format!("the guest stopped: {exit:?}").into()),
        }
    }
    Ok(cpu_time() - began)
}

/// The number of states that are saved.
const MOMENTS: u64 = 10_000;

/// Returns the time of saving the state of a CPU with 2 MiB, of which 64 pages are in use, of writing so many of them, and
/// of returning, all that many times.
fn return_from(mode: CpuMode, written: u64) -> Result<Duration, Box<dyn Error>> {
    const USED: u64 = 64;
    let mut cpu = started(mode, &LOOP)?;
    let page = |number: u64| 0x10_0000 + number * PAGE as u64;
    (0..USED).try_for_each(|number| cpu.memory_mut().write(page(number), &[1]))?;
    cpu.run(Until::Count(100))?;
    let began = cpu_time();
    for _ in 0..MOMENTS {
        let mut moment = cpu.fork().ok_or("the interpreter copies its CPU")?;
        (0..written).try_for_each(|number| cpu.memory_mut().write(page(number), &[2]))?;
        if !cpu.return_to(&mut *moment) {
            return Err("the interpreter returns to its forks".into());
        }
    }
    Ok(cpu_time() - began)
}

/// Returns the mean time in microseconds of creating a CPU with its memory, and the CPUs. Each has run a little.
fn create(mode: CpuMode, cpus: u64) -> Result<(f64, Cpus), Box<dyn Error>> {
    let began = cpu_time();
    let many = (0..cpus).map(|_| Soft.create(&MemoryPlan::below(MEMORY)));
    let mut many = many.collect::<Result<Vec<_>, _>>()?;
    let create_us = mean_us(cpu_time() - began, cpus);
    for cpu in &mut many {
        start(&mut **cpu, mode, &LOOP)?;
        cpu.run(Until::Count(100))?;
    }
    Ok((create_us, many))
}

fn started(mode: CpuMode, code: &[u8]) -> Result<Box<dyn Cpu>, Box<dyn Error>> {
    let mut cpu = Soft.create(&MemoryPlan::below(MEMORY))?;
    start(&mut *cpu, mode, code)?;
    Ok(cpu)
}

/// Puts a CPU at this code, with a page table where the mode has one.
fn start(cpu: &mut dyn Cpu, mode: CpuMode, code: &[u8]) -> Result<(), Box<dyn Error>> {
    let tables = match mode {
        CpuMode::Real | CpuMode::Protected => Vec::new(),
        CpuMode::Paged => one_large_page(),
        CpuMode::Long => four_levels(TABLES),
    };
    cpu.memory_mut().write(TABLES.into(), &tables)?;
    cpu.memory_mut().write(CODE.into(), code)?;
    let mut state = CpuState::flat(mode, CODE, CODE, TABLES);
    state.general[reg::RDX] = u32::MAX.into();
    state.general[reg::RSI] = DATA;
    Ok(cpu.set_state(&state)?)
}
