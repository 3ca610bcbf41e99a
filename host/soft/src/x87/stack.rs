//! The register stack, the status word and exceptions (Intel SDM volume 1, 8.1 and 8.4 to 8.6).

use iced_x86::Register;
use x86_64::registers::control::Cr0Flags;

use crate::{
    access::Access,
    cpu::{Op, Operand, SoftCpu},
    fault::{NM, Step, fault},
    float::{Context, Format, Kind, Number, Rounding, flag},
};

/// Bits of the status word, next to the exceptions' flags (Intel SDM volume 1, figure 8-4).
pub(super) mod status {
    pub(crate) const STACK_FAULT: u16 = 1 << 6;
    pub(crate) const ERROR_SUMMARY: u16 = 1 << 7;
    pub(crate) const C0: u16 = 1 << 8;
    pub(crate) const C1: u16 = 1 << 9;
    pub(crate) const C2: u16 = 1 << 10;
    pub(crate) const TOP: u16 = 7 << 11;
    pub(crate) const C3: u16 = 1 << 14;
    pub(crate) const BUSY: u16 = 1 << 15;
}

/// What an instruction does to the stack after its operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pops {
    None,
    One,
    Two,
}

impl SoftCpu {
    /// Checks whether x87 can be used (Intel SDM volume 3A, table 2-2).
    pub(super) fn check_x87(&self) -> Step {
        let unusable = Cr0Flags::EMULATE_COPROCESSOR.union(Cr0Flags::TASK_SWITCHED);
        if self.state.cr0 & unusable.bits() == 0 { Ok(()) } else { Err(fault(NM)) }
    }

    /// Checks whether an instruction can begin that waits for pending exceptions.
    pub(super) fn begin_x87(&self) -> Step {
        self.check_x87()?;
        self.check_pending()
    }

    /// Notes that an instruction is carried out, once its operand in memory is read: C1 is 0 unless it sets it.
    pub(super) fn start_x87(&mut self, op: &Op) {
        self.state.fpu.status &= !status::C1;
        self.state.fpu.instruction = op.ip;
    }

    /// Returns the control of an instruction's operations.
    pub(super) fn context(&self) -> Context {
        let control = self.state.fpu.control;
        Context {
            rounding: Rounding::new(u32::from(control >> 10)),
            masks: control as u8 & flag::ALL,
            flushes: false,
            is_x87: true,
            flags: 0,
            rounded_up: false,
        }
    }

    /// Returns the format of results by the precision control (Intel SDM volume 1, table 8-2).
    pub(super) fn precision(&self) -> Format {
        let precision = match self.state.fpu.control >> 8 & 3 {
            0 => Format::SINGLE.precision,
            2 => Format::DOUBLE.precision,
            _ => Format::EXTENDED.precision,
        };
        Format { precision, ..Format::EXTENDED }
    }

    /// Sets the flags of the exceptions that an instruction has raised, and C1 if it has rounded up.
    pub(super) fn finish_x87(&mut self, op: &Op, context: &Context) {
        let flags = if context.has_unmasked(flag::BEFORE) { flag::BEFORE } else { flag::ALL };
        self.raise_x87(op, u16::from(context.flags & flags));
        if context.rounded_up && !context.has_unmasked(flag::BEFORE) {
            self.state.fpu.status |= status::C1;
        }
    }

    /// Sets flags in the status word. An exception that is not masked is pending from now on.
    fn raise_x87(&mut self, op: &Op, flags: u16) {
        self.state.fpu.status |= flags;
        if flags & !self.state.fpu.control & u16::from(flag::ALL) != 0 {
            self.state.fpu.status |= status::ERROR_SUMMARY | status::BUSY;
            self.note_instruction(op);
        }
    }

    /// Keeps the opcode and the address of the operand of an instruction whose exception is not masked. CPUID tells that
    /// others do not change them (Intel SDM volume 1, 8.1.8 and 8.1.9).
    fn note_instruction(&mut self, op: &Op) {
        if op.to == Operand::Memory || op.from == Operand::Memory {
            self.state.fpu.operand = self.offset(&op.mem);
        }
        self.state.fpu.opcode = self.opcode(op);
    }

    /// Returns the low 11 bits of the opcode of the instruction that is carried out. Prefixes come before it.
    fn opcode(&mut self, op: &Op) -> u16 {
        let mut byte = |distance: u64| {
            let ip = op.ip.wrapping_add(distance) & self.ip_mask;
            let byte = self.fetch_address(ip, 1).and_then(|at| self.read_linear(at, 1, Access::FETCH));
            byte.unwrap_or(0) as u16
        };
        let is_opcode = |byte: u16| byte & 0xF8 == 0xD8;
        let at = (0..op.insn.len() as u64).find(|&distance| is_opcode(byte(distance))).unwrap_or(0);
        (byte(at) & 7) << 8 | byte(at + 1)
    }

    /// Raises a stack overflow or underflow. Returns true if it is masked, so that the indefinite value is the result.
    pub(super) fn stack_fault(&mut self, op: &Op, is_overflow: bool) -> bool {
        if is_overflow {
            self.state.fpu.status |= status::C1;
        }
        self.raise_x87(op, status::STACK_FAULT | u16::from(flag::INVALID));
        self.state.fpu.control & u16::from(flag::INVALID) != 0
    }

    /// Computes again whether an exception is pending, after its flag or its mask has changed.
    pub(super) fn refresh_pending(&mut self) {
        let fpu = &mut self.state.fpu;
        let pending = status::ERROR_SUMMARY | status::BUSY;
        fpu.status = match fpu.status & !fpu.control & u16::from(flag::ALL) {
            0 => fpu.status & !pending,
            _ => fpu.status | pending,
        };
    }
}

impl SoftCpu {
    /// Returns the bit in the tag word of a register of the stack.
    fn tag(&self, index: usize) -> u8 {
        1 << ((self.top() + index) & 7)
    }

    pub(super) fn is_empty(&self, index: usize) -> bool {
        self.state.fpu.tags & self.tag(index) == 0
    }

    pub(super) fn free(&mut self, index: usize) {
        self.state.fpu.tags &= !self.tag(index);
    }

    /// Returns a register of the stack.
    pub(super) fn st(&self, index: usize) -> Number {
        let (head, significand) = self.st_bits(index);
        Number::from_extended(head, significand)
    }

    /// Returns sign and exponent, and the significand.
    pub(super) fn st_bits(&self, index: usize) -> (u16, u64) {
        let bits = u128::from_le_bytes(self.state.fpu.st[index & 7]);
        ((bits >> 64) as u16, bits as u64)
    }

    pub(super) fn set_st(&mut self, index: usize, number: Number) {
        self.set_st_bits(index, number.to_extended());
    }

    pub(super) fn set_st_bits(&mut self, index: usize, (head, significand): (u16, u64)) {
        let bits = u128::from(head) << 64 | u128::from(significand);
        self.state.fpu.st[index & 7] = bits.to_le_bytes();
        self.state.fpu.tags |= self.tag(index);
    }

    /// Makes another register ST0. The state has the registers in the order of the stack.
    pub(super) fn set_top(&mut self, top: usize) {
        let distance = top.wrapping_sub(self.top()) & 7;
        self.state.fpu.st.rotate_left(distance);
        self.state.fpu.status =
            self.state.fpu.status & !status::TOP | (top as u16) << status::TOP.trailing_zeros() & status::TOP;
    }

    pub(super) fn pop_st(&mut self) {
        self.free(0);
        self.set_top(self.top() + 1);
    }

    pub(super) fn pop_all(&mut self, pops: Pops) {
        let count = match pops {
            Pops::None => 0,
            Pops::One => 1,
            Pops::Two => 2,
        };
        (0..count).for_each(|_| self.pop_st());
    }

    /// Pushes a value, or the indefinite one if the stack is full and that exception is masked.
    pub(super) fn push_st(&mut self, op: &Op, bits: (u16, u64)) {
        let bits = match self.is_empty(7) {
            true => bits,
            false if self.stack_fault(op, true) => Number::INDEFINITE.to_extended(),
            false => return,
        };
        self.push_over(bits);
    }

    /// Pushes a value onto a register that is empty or is to be overwritten.
    pub(super) fn push_over(&mut self, bits: (u16, u64)) {
        self.set_top(self.top().wrapping_sub(1));
        self.set_st_bits(0, bits);
    }
}

/// Operands.
impl SoftCpu {
    /// Returns the number of a register operand in the stack.
    pub(super) fn st_operand(register: Register) -> usize {
        register.number() & 7
    }

    /// Returns a floating-point number of 4 or 8 bytes.
    pub(super) fn real_in_memory(&mut self, op: &Op) -> Step<(Number, Format)> {
        let format = if op.size == 4 { Format::SINGLE } else { Format::DOUBLE };
        let bits = self.get(op, op.to, op.size)?;
        Ok((format.decode(bits), format))
    }

    /// Returns an integer of 2, 4 or 8 bytes, which the 80-bit format always holds.
    pub(super) fn integer_in_memory(&mut self, op: &Op) -> Step<Number> {
        let value = self.get(op, op.to, op.size)?;
        let value = crate::operand::sign_extended(value, op.size).cast_signed();
        Ok(self.context().convert_from_integer(value, Format::EXTENDED))
    }

    /// Rounds a constant by the rounding control: `significand` is cut, and `is_near` tells whether the nearest one is above.
    pub(super) fn constant(&self, exponent: i32, significand: u64, is_near: bool) -> Number {
        let up = match self.context().rounding {
            Rounding::Nearest => is_near,
            Rounding::Up => true,
            Rounding::Down | Rounding::Zero => false,
        };
        Number { negative: false, kind: Kind::Normal, exponent, significand: significand + u64::from(up) }
    }
}
