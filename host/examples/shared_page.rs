//! Shows a page of memory to two VMs: `cargo run --example shared_page -- [--soft]`.
//!
//! The page is not really shared. Each VM has a page of its own at the same address, and the host copies it when the
//! other VM gets its turn. VMs that take turns cannot tell the difference. VMs that run at the same time could: that
//! needs one mapping in both VMs, which the trait `Engine` does not offer.
//!
//! This example also shows the lowest level: it drives an engine's `Cpu` without a `Machine`.

mod common;

use std::error::Error;

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, Exit, MemoryPlan, Until};

const PAGE: u64 = 0x1000;
const PAGE_SIZE: usize = 0x1000;

/// `again: inc dword [PAGE]`, `out 0x10, al` (end the turn), `jmp again`.
const ONE: &[u8] = &[0xFF, 0x05, 0x00, 0x10, 0, 0, 0xE6, 0x10, 0xEB, 0xF6];
/// `again: add dword [PAGE], 10`, `out 0x10, al` (end the turn), `jmp again`.
const TEN: &[u8] = &[0x83, 0x05, 0x00, 0x10, 0, 0, 10, 0xE6, 0x10, 0xEB, 0xF5];

fn main() -> Result<(), Box<dyn Error>> {
    let engine = common::engine()?;
    let start = |code: &[u8]| -> Result<Box<dyn Cpu>, Box<dyn Error>> {
        let mut cpu = engine.create(&MemoryPlan::below(PAGE + PAGE_SIZE as u64))?;
        cpu.memory_mut().write(0, code)?;
        cpu.set_state(&CpuState::flat(CpuMode::Protected, 0, 0x1000, 0))?;
        Ok(cpu)
    };
    let mut cpus = [start(ONE)?, start(TEN)?];
    let mut page = [0; PAGE_SIZE];
    for turn in 0..6 {
        let cpu = &mut cpus[turn % 2];
        cpu.memory_mut().write(PAGE, &page)?;
        match cpu.run(Until::Exit)? {
            Exit::Out { port: 0x10, .. } => cpu.memory().read(PAGE, &mut page)?,
            exit => return Err(format!("an exit that these guests do not cause: {exit:?}").into()),
        }
        let [a, b, c, d, ..] = page;
        println!("after VM {}'s turn the page has {}", turn % 2 + 1, u32::from_le_bytes([a, b, c, d]));
    }
    Ok(())
}
