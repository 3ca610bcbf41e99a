//! Operands: registers, memory and immediate values of 1 to 8 bytes.

use guestlab_cpu::state::seg;
use iced_x86::{CodeSize, Instruction, OpKind, Register};

use crate::{
    cpu::SoftCpu,
    cpu::{Address, NONE, Op, Operand},
    fault::Step,
};

impl Operand {
    /// Returns an operand of an instruction, and its size in bytes.
    pub(crate) fn of(insn: &Instruction, index: u32) -> (Self, u8) {
        if index >= insn.op_count() {
            return (Self::None, 0);
        }
        match insn.op_kind(index) {
            OpKind::Register => Self::register(insn.op_register(index)),
            OpKind::Memory => (Self::Memory, insn.memory_size().size() as u8),
            OpKind::Immediate8 => (Self::Immediate, 1),
            OpKind::Immediate8to16 | OpKind::Immediate16 => (Self::Immediate, 2),
            OpKind::Immediate8to32 | OpKind::Immediate32 => (Self::Immediate, 4),
            OpKind::Immediate8to64 | OpKind::Immediate32to64 | OpKind::Immediate64 => (Self::Immediate, 8),
            OpKind::NearBranch16 => (Self::Immediate, 2),
            OpKind::NearBranch32 => (Self::Immediate, 4),
            OpKind::NearBranch64 => (Self::Immediate, 8),
            _ => (Self::None, insn.memory_size().size() as u8),
        }
    }

    /// Returns the number of the register, if it is one that has a low byte.
    pub(crate) fn low_register(self) -> u8 {
        match self {
            Self::Low(register) => register,
            _ => 0,
        }
    }

    fn register(register: Register) -> (Self, u8) {
        let operand = match register {
            Register::AH | Register::CH | Register::DH | Register::BH => {
                Self::High((register as u32 - Register::AH as u32) as u8)
            }
            _ if register.is_gpr() => Self::Low(number(register)),
            _ if register.is_segment_register() => Self::Segment(register.number() as u8),
            _ => Self::None,
        };
        (operand, register.size() as u8)
    }
}

impl Address {
    /// Returns the address of an instruction's operand in memory.
    pub(crate) fn of(insn: &Instruction) -> Self {
        let register = |register: Register| if register.is_gpr() { number(register) } else { NONE };
        let (base, index) = (insn.memory_base(), insn.memory_index());
        let is_ignored = insn.code_size() == CodeSize::Code64
            && matches!(insn.segment_prefix(), Register::ES | Register::CS | Register::SS | Register::DS);
        let segment = match insn.memory_segment() {
            // 64-bit code ignores these prefixes (Intel SDM volume 1, 3.4.2.1).
            _ if is_ignored => default_segment(base),
            Register::None => seg::DS as u8,
            segment => segment.number() as u8,
        };
        Self {
            base: register(base),
            index: register(index),
            scale: insn.memory_index_scale().trailing_zeros() as u8,
            segment,
            // For RIP-relative operands this is the address itself.
            displacement: insn.memory_displacement64(),
            mask: mask(address_size(insn)),
        }
    }

    /// Returns the size of the address in bytes.
    pub(crate) fn size(&self) -> u8 {
        match self.mask {
            0xFFFF => 2,
            0xFFFF_FFFF => 4,
            _ => 8,
        }
    }
}

/// Returns the segment of an address without a prefix: that of the stack for RSP and RBP (Intel SDM volume 1, 3.7.4).
fn default_segment(base: Register) -> u8 {
    let is_stack = matches!(base.full_register(), Register::RSP | Register::RBP);
    (if is_stack { seg::SS } else { seg::DS }) as u8
}

/// Returns the size of an instruction's addresses in bytes.
fn address_size(insn: &Instruction) -> u8 {
    let registers = [insn.memory_base(), insn.memory_index()];
    if let Some(register) = registers.into_iter().find(|it| it.is_gpr() || it.is_ip()) {
        return register.size() as u8;
    }
    let strings = (0..insn.op_count()).find_map(|index| match insn.op_kind(index) {
        OpKind::MemorySegSI | OpKind::MemorySegDI | OpKind::MemoryESDI => Some(2),
        OpKind::MemorySegESI | OpKind::MemorySegEDI | OpKind::MemoryESEDI => Some(4),
        OpKind::MemorySegRSI | OpKind::MemorySegRDI | OpKind::MemoryESRDI => Some(8),
        OpKind::Memory => Some(match insn.memory_displ_size() {
            2 => 2,
            4 => 4,
            8 => 8,
            _ => 0,
        }),
        _ => None,
    });
    match (strings, insn.code_size()) {
        (Some(size @ 2..), CodeSize::Code64) => size.max(4),
        (Some(size @ 2..), _) => size,
        (_, CodeSize::Code16) => 2,
        (_, CodeSize::Code64) => 8,
        _ => 4,
    }
}

/// Returns the bits of a value of `size` bytes.
pub(crate) fn mask(size: u8) -> u64 {
    if size >= 8 { u64::MAX } else { (1 << (8 * u32::from(size))) - 1 }
}

/// Returns a value of `size` bytes with its sign extended to 64 bits.
pub(crate) fn sign_extended(value: u64, size: u8) -> u64 {
    let unused = 64 - 8 * u32::from(size.clamp(1, 8));
    ((value << unused).cast_signed() >> unused).cast_unsigned()
}

impl SoftCpu {
    /// Returns the offset of the instruction's operand in its segment.
    #[inline]
    pub(crate) fn offset(&self, address: &Address) -> u64 {
        let mut offset = address.displacement;
        if address.base != NONE {
            offset = offset.wrapping_add(self.state.general[usize::from(address.base & 15)]);
        }
        if address.index != NONE {
            offset =
                offset.wrapping_add(self.state.general[usize::from(address.index & 15)] << address.scale);
        }
        offset & address.mask
    }

    /// Reads a general register.
    #[inline]
    pub(crate) fn register(&self, register: u8, size: u8) -> u64 {
        self.state.general[usize::from(register & 15)] & mask(size)
    }

    /// Writes a general register. A write of 32 bits clears the upper half (Intel SDM volume 1, 3.4.1.1).
    #[inline]
    pub(crate) fn set_register(&mut self, register: u8, size: u8, value: u64) {
        let register = &mut self.state.general[usize::from(register & 15)];
        *register = match size {
            1 => *register & !0xFF | value & 0xFF,
            2 => *register & !0xFFFF | value & 0xFFFF,
            4 => value & 0xFFFF_FFFF,
            _ => value,
        };
    }

    /// Reads an operand of `size` bytes.
    #[inline]
    pub(crate) fn get(&mut self, op: &Op, operand: Operand, size: u8) -> Step<u64> {
        Ok(match operand {
            Operand::Low(register) => self.register(register, size),
            Operand::Immediate => op.imm & mask(size),
            Operand::Memory => return self.read(op.mem.segment, self.offset(&op.mem), size),
            Operand::High(register) => self.state.general[usize::from(register & 3)] >> 8 & 0xFF,
            Operand::Segment(segment) => self.state.segments[usize::from(segment)].selector.into(),
            Operand::None => 0,
        })
    }

    /// Writes an operand of `size` bytes.
    #[inline]
    pub(crate) fn put(&mut self, op: &Op, operand: Operand, size: u8, value: u64) -> Step {
        match operand {
            Operand::Low(register) => self.set_register(register, size, value),
            Operand::Memory => return self.write(op.mem.segment, self.offset(&op.mem), size, value),
            Operand::High(register) => {
                let register = &mut self.state.general[usize::from(register & 3)];
                *register = *register & !0xFF00 | (value & 0xFF) << 8;
            }
            Operand::Immediate | Operand::Segment(_) | Operand::None => {}
        }
        Ok(())
    }

    /// Reads an operand that the instruction then writes: a page that cannot be written is found now.
    #[inline]
    pub(crate) fn get_to_change(&mut self, op: &Op, operand: Operand, size: u8) -> Step<u64> {
        match operand {
            Operand::Memory => self.read_to_change(op.mem.segment, self.offset(&op.mem), size),
            _ => self.get(op, operand, size),
        }
    }
}

/// Returns the number of a general register, 0 to 15, whatever its size.
pub(crate) fn number(register: Register) -> u8 {
    register.full_register().number() as u8
}
