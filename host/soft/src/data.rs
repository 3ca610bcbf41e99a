//! Moves, exchanges and conversions (Intel SDM volume 1, 7.3.1).

use guestlab_cpu::state::seg;
use iced_x86::Mnemonic;

use crate::{
    cpu::SoftCpu,
    cpu::{Op, Operand},
    fault::{Step, ud},
    forms::{Binary, Source, Target},
    operand::number,
    operand::sign_extended,
};

/// MOV between general registers, memory and immediate values.
pub(crate) struct Mov;

impl Binary for Mov {
    fn run<T: Target, S: Source, const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step {
        let value = S::get::<SIZE>(cpu, op)?;
        T::put::<SIZE>(cpu, op, value)
    }
}

impl SoftCpu {
    /// MOV to a segment register.
    pub(crate) fn mov_to_segment(&mut self, op: &Op) -> Step {
        let Operand::Segment(segment) = op.to else { return Err(ud()) };
        let selector = self.get(op, op.from, 2)? as u16;
        self.load_segment(usize::from(segment), selector)?;
        self.shield(segment);
        self.stale = true;
        Ok(())
    }

    /// MOV from a segment register: memory gets 16 bits, and a register is cleared above them.
    pub(crate) fn mov_from_segment(&mut self, op: &Op) -> Step {
        let Operand::Segment(segment) = op.from else { return Err(ud()) };
        let selector = self.state.segments[usize::from(segment)].selector;
        let size = if op.to == Operand::Memory { 2 } else { op.size };
        self.put(op, op.to, size, selector.into())
    }

    pub(crate) fn movzx(&mut self, op: &Op) -> Step {
        let value = self.get(op, op.from, op.from_size)?;
        self.put(op, op.to, op.size, value)
    }

    pub(crate) fn movsx(&mut self, op: &Op) -> Step {
        let value = self.get(op, op.from, op.from_size)?;
        self.put(op, op.to, op.size, sign_extended(value, op.from_size))
    }

    pub(crate) fn lea(&mut self, op: &Op) -> Step {
        let offset = self.offset(&op.mem);
        self.put(op, op.to, op.size, offset)
    }

    pub(crate) fn xchg(&mut self, op: &Op) -> Step {
        // The operand in memory can be either of the two.
        let (a, b) = (self.get_to_change(op, op.to, op.size)?, self.get_to_change(op, op.from, op.size)?);
        if op.from == Operand::Memory {
            self.put(op, op.from, op.size, a)?;
            return self.put(op, op.to, op.size, b);
        }
        self.put(op, op.to, op.size, b)?;
        self.put(op, op.from, op.size, a)
    }

    /// CBW, CWDE, CDQE: the accumulator's sign is extended in it.
    pub(crate) fn extend_accumulator(&mut self, op: &Op) -> Step {
        let size = match op.insn.mnemonic() {
            Mnemonic::Cbw => 1,
            Mnemonic::Cwde => 2,
            _ => 4,
        };
        let value = sign_extended(self.register(0, size), size);
        self.set_register(0, 2 * size, value);
        Ok(())
    }

    /// CWD, CDQ, CQO: the accumulator's sign fills the data register.
    pub(crate) fn extend_into_data(&mut self, op: &Op) -> Step {
        let size = match op.insn.mnemonic() {
            Mnemonic::Cwd => 2,
            Mnemonic::Cdq => 4,
            _ => 8,
        };
        let sign = sign_extended(self.register(0, size), size).cast_signed() >> 63;
        self.set_register(2, size, sign.cast_unsigned());
        Ok(())
    }

    /// XLAT: AL is replaced by the byte that it is the index of.
    pub(crate) fn xlat(&mut self, op: &Op) -> Step {
        let base = self.register(number(op.insn.memory_base()), 8);
        let offset = base.wrapping_add(self.register(0, 1)) & op.mem.mask;
        let value = self.read(op.mem.segment, offset, 1)?;
        self.set_register(0, 1, value);
        Ok(())
    }

    /// LDS, LES, LFS, LGS, LSS: a far pointer goes to a register and a segment register.
    pub(crate) fn load_far_pointer(&mut self, op: &Op) -> Step {
        let segment = match op.insn.mnemonic() {
            Mnemonic::Lds => seg::DS,
            Mnemonic::Les => seg::ES,
            Mnemonic::Lfs => seg::FS,
            Mnemonic::Lgs => seg::GS,
            _ => seg::SS,
        };
        let offset = self.offset(&op.mem);
        let selector_offset = offset.wrapping_add(op.size.into()) & op.mem.mask;
        let pointer = self.read(op.mem.segment, offset, op.size)?;
        let selector = self.read(op.mem.segment, selector_offset, 2)? as u16;
        self.load_segment(segment, selector)?;
        self.stale = true;
        self.put(op, op.to, op.size, pointer)
    }

    /// LAHF and SAHF: the low byte of the flags goes to AH and back.
    pub(crate) fn lahf(&mut self, _: &Op) -> Step {
        let flags = self.flags.get() & 0xFF;
        let ax = self.register(0, 2) & 0xFF | flags << 8;
        self.set_register(0, 2, ax);
        Ok(())
    }

    pub(crate) fn sahf(&mut self, _: &Op) -> Step {
        const LOW: u64 = 0b1101_0101;
        let ah = self.register(0, 2) >> 8;
        let flags = self.flags.get() & !LOW | ah & LOW;
        self.flags.set(flags);
        Ok(())
    }

    /// SALC, which no manual names: AL is all ones if there is a carry.
    pub(crate) fn salc(&mut self, _: &Op) -> Step {
        let value = if self.flags.carry() { 0xFF } else { 0 };
        self.set_register(0, 1, value);
        Ok(())
    }

    pub(crate) fn nop(&mut self, _: &Op) -> Step {
        Ok(())
    }

    /// BOUND: #BR if an index is outside of the bounds in memory.
    pub(crate) fn bound(&mut self, op: &Op) -> Step {
        let size = op.size;
        let offset = self.offset(&op.mem);
        let index = sign_extended(self.get(op, op.to, size)?, size).cast_signed();
        let lower = sign_extended(self.read(op.mem.segment, offset, size)?, size).cast_signed();
        let upper_offset = offset.wrapping_add(size.into()) & op.mem.mask;
        let upper = sign_extended(self.read(op.mem.segment, upper_offset, size)?, size).cast_signed();
        match index < lower || index > upper {
            true => Err(crate::fault::fault(crate::fault::BR)),
            false => Ok(()),
        }
    }
}
