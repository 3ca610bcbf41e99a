//! The words on a guest's stack.

use guestlab_cpu::{
    CpuState,
    instruction::{Instruction, Mnemonic},
};

use crate::vcpu::Vcpu;

/// Returns the size in bytes of each value that a return from an interrupt pops: IP, CS and flags.
pub(super) fn size_of_return(instruction: &Instruction) -> Option<usize> {
    match instruction.mnemonic() {
        Mnemonic::Iret => Some(2),
        Mnemonic::Iretd => Some(4),
        Mnemonic::Iretq => Some(8),
        _ => None,
    }
}

/// Returns the flags that an instruction will pop.
pub(super) fn popped(vcpu: &Vcpu, registers: &CpuState, instruction: &Instruction) -> Option<u64> {
    let size = match instruction.mnemonic() {
        Mnemonic::Popf => 2,
        Mnemonic::Popfd => 4,
        Mnemonic::Popfq => 8,
        _ => {
            let [_, _, flags] = pop(vcpu, registers, size_of_return(instruction)?)?;
            return Some(flags);
        }
    };
    pop(vcpu, registers, size).map(|[flags]| flags)
}

/// Returns the words of `size` bytes at the top of the stack.
pub(super) fn pop<const N: usize>(vcpu: &Vcpu, registers: &CpuState, size: usize) -> Option<[u64; N]> {
    let mut words = [0; N];
    for (word, index) in words.iter_mut().zip(0..) {
        *word = read(vcpu, registers, registers.stack_slot(index * size as u64), size)?;
    }
    Some(words)
}

/// Reads a word of at most 8 bytes.
pub(super) fn read(vcpu: &Vcpu, registers: &CpuState, address: u64, size: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    (vcpu.read_linear(registers, address, &mut bytes[..size]) == size).then(|| u64::from_le_bytes(bytes))
}
