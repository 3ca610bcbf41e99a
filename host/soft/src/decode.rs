//! Instructions, decoded once and kept in blocks.
//!
//! A block is a run of instructions without a jump, in one page. It is found by the physical address of its first byte,
//! the instruction pointer there (jump targets and RIP-relative addresses are computed when it is decoded), and the
//! width of code. A write to its bytes drops it.

use alloc::{sync::Arc, vec, vec::Vec};

use iced_x86::{ConditionCode, Decoder, DecoderOptions, FlowControl, Instruction};

use crate::{
    access::Access,
    cpu::SoftCpu,
    cpu::{Address, Block, Key, Op, Operand},
    fault::{Step, gp0, ud},
    ram::{PAGE, offset},
    select::select,
};

/// The longest instruction in bytes (Intel SDM volume 2A, 2.3.11).
const LONGEST: usize = 15;
/// The most instructions in a block.
const MOST: usize = 32;
impl SoftCpu {
    /// Returns the block at the instruction pointer.
    pub(crate) fn block(&mut self) -> Step<Arc<Block>> {
        let ip = self.state.ip;
        let linear = self.fetch_address(ip, 1)?;
        let physical = self.translate(linear, Access::FETCH)?;
        let key = Key { physical, ip, bits: self.bits };
        if let Some(block) = self.cache.get(key)
            && self.is_in_code(block.last)
        {
            return Ok(Arc::clone(block));
        }
        self.decode_block(key)
    }

    fn decode_block(&mut self, key: Key) -> Step<Arc<Block>> {
        let mut bytes = [0; PAGE];
        let start = offset(key.physical);
        let there = PAGE - start;
        match self.ram.bytes(key.physical) {
            Some(page) => bytes[..there].copy_from_slice(&page[start..]),
            None => return Err(self.fetch_without_memory(key.physical)),
        }
        let mut decoder =
            Decoder::with_ip(u32::from(key.bits), &bytes[..there], key.ip, DecoderOptions::NONE);
        let mut ops = Vec::new();
        while ops.len() < MOST && decoder.position() < there {
            let insn = decoder.decode();
            let last = insn.ip().wrapping_add(insn.len() as u64 - 1);
            if insn.is_invalid() || !self.is_in_code(last) {
                break;
            }
            ops.push(Op::new(&insn));
            if insn.flow_control() != FlowControl::Next {
                break;
            }
        }
        let Some(op) = ops.last() else { return self.decode_alone(key) };
        let last = op.insn.next_ip().wrapping_sub(1);
        let len = last.wrapping_sub(key.ip) as usize + 1;
        let block = Arc::new(Block { key, last, ops });
        self.ram.mark_code(key.physical, len);
        self.cache.insert(&block);
        Ok(block)
    }

    /// Decodes one instruction that crosses a page or a segment's end, or is not valid. It is not kept.
    fn decode_alone(&mut self, key: Key) -> Step<Arc<Block>> {
        let mut bytes = [0; LONGEST];
        let mut have = 0;
        loop {
            let mut decoder =
                Decoder::with_ip(u32::from(key.bits), &bytes[..have], key.ip, DecoderOptions::NONE);
            let insn = decoder.decode();
            if !insn.is_invalid() {
                let last = insn.next_ip().wrapping_sub(1);
                return Ok(Arc::new(Block { key, last, ops: vec![Op::new(&insn)] }));
            }
            if have == LONGEST {
                return Err(gp0());
            }
            if have > 0 && decoder.last_error() == iced_x86::DecoderError::InvalidInstruction {
                return Err(ud());
            }
            // A byte more: each can be beyond the segment or in a page that is not there.
            let linear = self.fetch_address(key.ip.wrapping_add(have as u64), 1)?;
            let physical = self.translate(linear, Access::FETCH)?;
            match self.ram.bytes(physical) {
                Some(page) => bytes[have] = page[offset(physical)],
                None => return Err(self.fetch_without_memory(physical)),
            }
            have += 1;
        }
    }
}

impl Op {
    fn new(insn: &Instruction) -> Self {
        let (to, size) = Operand::of(insn, 0);
        let (from, from_size) = Operand::of(insn, 1);
        let imm = immediate(insn);
        Self {
            run: select(insn),
            to,
            from,
            size,
            from_size,
            len: insn.len() as u8,
            condition: condition(insn.condition_code()),
            imm,
            mem: Address::of(insn),
            insn: *insn,
        }
    }
}

/// Returns the immediate operand or the target of a near branch.
fn immediate(insn: &Instruction) -> u64 {
    let count = insn.op_count();
    let operand = (0..count).rev().find_map(|index| insn.try_immediate(index).ok());
    operand.unwrap_or_else(|| insn.near_branch_target())
}

/// Returns the number that opcodes have for a condition (Intel SDM volume 1, appendix B).
fn condition(condition: ConditionCode) -> u8 {
    // iced numbers them in that order, from 1.
    (condition as u8).wrapping_sub(1) & 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_have_the_numbers_of_opcodes() {
        for opcode in 0x70..=0x7F_u8 {
            let bytes = [opcode, 0];
            let insn = Decoder::new(32, &bytes, DecoderOptions::NONE).decode();
            assert_eq!(condition(insn.condition_code()), opcode & 15, "{insn:?}");
        }
    }
}
