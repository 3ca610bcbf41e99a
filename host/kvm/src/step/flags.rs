//! The trap flag of a guest during steps. KVM sets it for a step and hides it from the host, but a guest could read it
//! from saved flags. So saved flags get the guest's own trap flag, and the host raises the debug exceptions that the
//! guest's own flag causes.

use guestlab_cpu::{
    CpuState, EngineError,
    instruction::{Instruction, Mnemonic},
    walk,
};

use super::{before::Before, stack::read};
use crate::{
    debug_registers::{SINGLE_STEP, TRAP_FLAG},
    vcpu::Vcpu,
};

/// Returns the size in bytes of the flags that an instruction pushes.
fn size_of_push(instruction: &Instruction) -> Option<usize> {
    match instruction.mnemonic() {
        Mnemonic::Pushf => Some(2),
        Mnemonic::Pushfd => Some(4),
        Mnemonic::Pushfq => Some(8),
        _ => None,
    }
}

/// Makes the trap flag in saved flags the guest's own.
fn correct(vcpu: &mut Vcpu, registers: &CpuState, address: u64, size: usize, own: u64) {
    if let Some(flags) = read(vcpu, registers, address, size).filter(|flags| flags & TRAP_FLAG != own) {
        // The CPU has just pushed them, so the address is memory.
        let flags = (flags & !TRAP_FLAG | own).to_le_bytes();
        walk::write_linear(registers, vcpu.memory_mut(), address, &flags[..size]);
    }
}

/// Puts the guest's own trap flag into flags that executed instructions saved or loaded. Returns the DR6 bits of the debug
/// exception that the guest gets now; `points` are those already known.
pub(super) fn settle(vcpu: &mut Vcpu, executed: &[Before], points: u64) -> Result<Option<u64>, EngineError> {
    let [first, ..] = executed else { return Ok(None) };
    let own = first.registers.flags & TRAP_FLAG;
    let mut traps = own != 0;
    for before in executed {
        let mut after = vcpu.registers()?;
        match before.instruction.mnemonic() {
            Mnemonic::Syscall => {
                const R11: usize = 11;
                after.general[R11] = after.general[R11] & !TRAP_FLAG | own;
                after.flags &= !(vcpu.syscall_mask()? & TRAP_FLAG);
                traps &= after.flags & TRAP_FLAG != 0;
                vcpu.set_registers(&after)?;
            }
            // After other instructions that load the flag, the exception comes one instruction later.
            Mnemonic::Sysret | Mnemonic::Sysretq => {
                let flags = before.registers.general[11] & TRAP_FLAG;
                traps |= flags != 0;
                after.flags = after.flags & !TRAP_FLAG | flags;
                vcpu.set_registers(&after)?;
            }
            _ => {
                if let Some(size) = size_of_push(&before.instruction) {
                    correct(vcpu, &after, after.stack(), size, own);
                }
                if let Some(flags) = before.popped {
                    after.flags = after.flags & !TRAP_FLAG | flags & TRAP_FLAG;
                    vcpu.set_registers(&after)?;
                }
            }
        }
    }
    let is_trap = executed.iter().any(|before| before.instruction.mnemonic() == Mnemonic::Int1);
    let bits = points | if traps { SINGLE_STEP } else { 0 };
    Ok((bits != 0 || is_trap).then_some(bits))
}

/// Puts the guest's own trap flag into the flags that the CPU pushed on the way to a handler. Returns the index of the
/// instruction that called the handler.
///
/// Code segment and instruction pointer identify the frame; an error code may lie below it.
pub(super) fn hand_over(vcpu: &mut Vcpu, executed: &[Before]) -> Result<usize, EngineError> {
    let mut registers = vcpu.registers()?;
    let size = registers.word();
    let mask = u64::MAX >> (64 - 8 * size);
    let caller = |[ip, selector]: [u64; 2]| {
        executed.iter().position(|before| {
            let is_there = |pointer: u64| pointer & mask == ip;
            let (_, own_selector) = before.registers.code_segment();
            selector & 0xFFFF == u64::from(own_selector)
                && (is_there(before.registers.ip) || is_there(before.instruction.next_ip()))
        })
    };
    let frame = [0, size as u64].into_iter().find_map(|at| {
        let word = |index: u64| read(vcpu, &registers, registers.stack_slot(at + index * size as u64), size);
        Some((at, caller([word(0)?, word(1)?])?))
    });
    let by = frame.map_or(0, |(_, by)| by);
    let own = executed.get(by).map_or(0, |before| before.registers.flags & TRAP_FLAG);
    if let Some((at, _)) = frame {
        correct(vcpu, &registers, registers.stack_slot(at + 2 * size as u64), size, own);
    }
    registers.flags &= !TRAP_FLAG;
    vcpu.set_registers(&registers)?;
    Ok(by)
}
