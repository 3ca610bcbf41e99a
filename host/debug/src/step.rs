//! An instruction that a step executed.

use guestlab_cpu::{
    CpuState, Executed, MAX_INSTRUCTION,
    instruction::{self, Instruction},
};

/// An instruction, and the CPU just before it.
#[derive(Clone, Debug)]
pub struct Before {
    /// The registers, without x87 and SSE.
    pub registers: CpuState,
    /// The instruction, decoded.
    pub instruction: Instruction,
    code: [u8; MAX_INSTRUCTION],
}

impl From<Executed> for Before {
    fn from(Executed { before, code }: Executed) -> Self {
        let instruction = instruction::decode(before.bits(), &code, before.ip);
        Self { registers: before, instruction, code }
    }
}

impl Before {
    /// Returns the instruction's linear address.
    pub fn address(&self) -> u64 {
        self.registers.instruction()
    }

    /// Returns the instruction with linear addresses in place of offsets in the code segment.
    pub fn linear_instruction(&self) -> Instruction {
        instruction::in_segment(&self.instruction, self.registers.code_segment().0)
    }

    /// Returns the instruction's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.code[..self.instruction.len()]
    }

    /// Returns true if a step may execute only a part of the instruction: it is a repeated string instruction.
    pub fn is_repeated(&self) -> bool {
        let instruction = &self.instruction;
        instruction.is_string_instruction()
            && (instruction.has_rep_prefix() || instruction.has_repne_prefix())
    }
}
