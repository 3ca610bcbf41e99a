//! Instructions, decoded once and kept in blocks.
//!
//! A block is a run of instructions without a jump, in one page. It is found by the physical address of its first byte,
//! the instruction pointer there (jump targets and RIP-relative addresses are computed when it is decoded), and the
//! width of code. A write to its bytes drops it.

use alloc::{boxed::Box, vec::Vec};

use guestlab_cpu::state::seg;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

use crate::{
    access::Access,
    coverage::Runs,
    cpu::SoftCpu,
    cpu::{Address, Block, Key, Op, Operand, Operands},
    fault::{Event, Step, gp0, ud},
    ram::{PAGE, offset},
    select::{condition, select},
};

/// The longest instruction in bytes (Intel SDM volume 2A, 2.3.11).
const LONGEST: usize = 15;
/// Instructions that CPUID does not report and that older CPUs execute as others: TZCNT, LZCNT and WBNOINVD without their
/// prefix as BSF, BSR and WBINVD, and hints as NOPs. Compilers use that.
const OPTIONS: u32 = DecoderOptions::NO_MPFX_0FBC
    | DecoderOptions::NO_MPFX_0FBD
    | DecoderOptions::NO_WBNOINVD
    | DecoderOptions::FORCE_RESERVED_NOP;
/// The most instructions in a block.
const MOST: usize = 32;
/// Instructions that are about to be carried out, taken out of their place.
pub(crate) struct Taken {
    place: usize,
    pub(crate) ops: Box<[Op]>,
}

impl SoftCpu {
    /// Takes the block at the instruction pointer. It is to be [put back](Self::put_back).
    #[inline]
    pub(crate) fn take_block(&mut self) -> Step<Taken> {
        let ip = self.state.ip;
        let place = self.cache.place(ip);
        let epoch = self.cache.epoch;
        if let Some(block) = self.cache.get(place)
            && block.epoch == epoch
            && block.key.ip == ip
        {
            return Ok(Taken { place, ops: core::mem::take(&mut block.ops) });
        }
        self.find_block(ip, place)
    }

    /// Puts a block back, if its code was not written meanwhile.
    #[inline]
    pub(crate) fn put_back(&mut self, taken: Taken) {
        if let Some(block) = self.cache.get(taken.place) {
            block.ops = taken.ops;
        }
    }

    /// Translates the instruction pointer, and takes its block or decodes it.
    fn find_block(&mut self, ip: u64, place: usize) -> Step<Taken> {
        let linear = self.fetch_address(ip, 1)?;
        let physical = self.translate(linear, Access::FETCH)?;
        let key = Key { physical, ip, bits: self.bits };
        let kept = self.cache.get(place).filter(|block| block.key == key).map(|block| block.last);
        let place = match kept.is_some_and(|last| self.is_in_code(last)) {
            true => place,
            false => match self.decode_block(key)? {
                Ok(block) => self.cache.insert(block),
                Err(alone) => return Ok(Taken { place: usize::MAX, ops: Box::new([alone]) }),
            },
        };
        let epoch = self.cache.epoch;
        let Some(block) = self.cache.get(place) else { unreachable!("it is there now") };
        block.epoch = epoch;
        Ok(Taken { place, ops: core::mem::take(&mut block.ops) })
    }

    /// Returns the linear address of the instruction pointer 0.
    pub(crate) fn code_base(&self) -> u64 {
        if self.bits == 64 { 0 } else { self.state.segments[seg::CS].base }
    }

    /// Counts a run of the first `begun` instructions of a block. `base` is the linear address of the instruction pointer 0 before
    /// the run.
    pub(crate) fn count_run(&mut self, taken: &Taken, begun: usize, base: u64) {
        let ip = self.state.ip;
        match self.cache.get(taken.place).and_then(|block| block.runs.as_mut()) {
            Some(runs) => runs.count(begun, ip),
            None => {
                // The block is not kept, or it wrote over its own code.
                let mut runs = runs(&taken.ops, base);
                runs.count(begun, ip);
                self.cache.flush(Some(runs));
            }
        }
    }

    /// Decodes a block, or else the one instruction that cannot be in a block.
    fn decode_block(&mut self, key: Key) -> Step<Result<Block, Op>> {
        let mut bytes = [0; PAGE];
        let start = offset(key.physical);
        let there = PAGE - start;
        match self.ram.bytes(key.physical) {
            Some(page) => bytes[..there].copy_from_slice(&page[start..]),
            None => return Err(Event::Missing),
        }
        let mut decoder = Decoder::with_ip(u32::from(key.bits), &bytes[..there], key.ip, OPTIONS);
        let mut ops = Vec::new();
        while ops.len() < MOST && decoder.position() < there {
            let insn = decoder.decode();
            let last = insn.ip().wrapping_add(insn.len() as u64 - 1);
            let has_point = !ops.is_empty() && self.points.is_on(self.state.linear(seg::CS, insn.ip()));
            if insn.is_invalid() || has_point || !self.is_in_code(last) {
                break;
            }
            ops.push(Op::new(&insn, self.ip_mask));
            if insn.flow_control() != FlowControl::Next {
                break;
            }
        }
        let Some(op) = ops.last() else { return self.decode_alone(key).map(Err) };
        let last = op.insn.next_ip().wrapping_sub(1);
        let len = last.wrapping_sub(key.ip) as usize + 1;
        self.ram.mark_code(key.physical, len);
        let runs = self.cache.coverage.is_some().then(|| runs(&ops, self.code_base()));
        Ok(Ok(Block { key, last, ops: ops.into(), runs, epoch: self.cache.epoch }))
    }

    /// Decodes one instruction that crosses a page or a segment's end, or is not valid. It is not kept.
    fn decode_alone(&mut self, key: Key) -> Step<Op> {
        let mut bytes = [0; LONGEST];
        let mut have = 0;
        loop {
            let mut decoder = Decoder::with_ip(u32::from(key.bits), &bytes[..have], key.ip, OPTIONS);
            let insn = decoder.decode();
            if !insn.is_invalid() {
                return Ok(Op::new(&insn, self.ip_mask));
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
                None => return Err(Event::Missing),
            }
            have += 1;
        }
    }
}

impl Op {
    fn new(insn: &Instruction, ip_mask: u64) -> Self {
        let (to, size) = Operand::of(insn, 0);
        let (from, from_size) = Operand::of(insn, 1);
        Self {
            run: select(insn, &Operands { to, from, size }),
            to,
            from,
            size,
            from_size,
            condition: condition(insn.condition_code()),
            to_register: to.low_register(),
            from_register: from.low_register(),
            ip: insn.ip(),
            next: insn.next_ip() & ip_mask,
            imm: immediate(insn),
            mem: Address::of(insn),
            insn: *insn,
        }
    }
}

/// Returns the runs of instructions that have not run. `base` is the linear address of the instruction pointer 0.
fn runs(ops: &[Op], base: u64) -> Box<Runs> {
    let last = ops.last();
    let is_conditional = last.is_some_and(|op| op.insn.flow_control() == FlowControl::ConditionalBranch);
    let addresses = ops.iter().map(|op| base.wrapping_add(op.ip)).collect();
    Runs::new(addresses, is_conditional, last.map_or(0, |op| op.next))
}

/// Returns the immediate operand or the target of a near branch.
fn immediate(insn: &Instruction) -> u64 {
    let count = insn.op_count();
    let operand = (0..count).rev().find_map(|index| insn.try_immediate(index).ok());
    operand.unwrap_or_else(|| insn.near_branch_target())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_have_the_numbers_of_opcodes() {
        for opcode in 0x70..=0x7F_u8 {
            let bytes = [opcode, 0];
            let insn = Decoder::new(32, &bytes, OPTIONS).decode();
            assert_eq!(condition(insn.condition_code()), opcode & 15, "{insn:?}");
        }
    }
}
