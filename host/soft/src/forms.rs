//! A function for each frequent form of an instruction.
//!
//! `add eax, ebx` and `add [esi], al` differ in the places of their operands and in their size. Here both are
//! parameters of the function's type, so that nothing of it is left to decide when the instruction is carried out.

use crate::{
    cpu::{Handler, Op, Operand, Operands, SoftCpu},
    fault::Step,
    operand::mask,
};

/// A place to read an operand of `SIZE` bytes from: the second operand, or the first one.
pub(crate) trait Source {
    fn get<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64>;
}

/// A place that the first operand is in.
pub(crate) trait Target {
    fn get<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64>;

    /// Reads what is then written: a page that cannot be written is found now.
    fn get_to_change<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64>;

    fn put<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op, value: u64) -> Step;
}

/// The low bytes of a general register.
pub(crate) struct Register;
/// The immediate value.
pub(crate) struct Immediate;
/// Memory, at the instruction's address.
pub(crate) struct Memory;
/// Any place: the instruction says which.
pub(crate) struct Any;

impl Source for Register {
    #[inline]
    fn get<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64> {
        Ok(cpu.register(op.from_register, SIZE as u8))
    }
}

impl Source for Immediate {
    #[inline]
    fn get<const SIZE: usize>(_: &mut SoftCpu, op: &Op) -> Step<u64> {
        Ok(op.imm & mask(SIZE as u8))
    }
}

impl Source for Memory {
    #[inline]
    fn get<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64> {
        cpu.load::<SIZE>(&op.mem)
    }
}

impl Source for Any {
    #[inline]
    fn get<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64> {
        cpu.get(op, op.from, SIZE as u8)
    }
}

impl Target for Register {
    #[inline]
    fn get<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64> {
        Ok(cpu.register(op.to_register, SIZE as u8))
    }

    #[inline]
    fn get_to_change<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64> {
        <Self as Target>::get::<SIZE>(cpu, op)
    }

    #[inline]
    fn put<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op, value: u64) -> Step {
        cpu.set_register(op.to_register, SIZE as u8, value);
        Ok(())
    }
}

impl Target for Memory {
    #[inline]
    fn get<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64> {
        cpu.load::<SIZE>(&op.mem)
    }

    #[inline]
    fn get_to_change<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64> {
        cpu.read_to_change(op.mem.segment, cpu.offset(&op.mem), SIZE as u8)
    }

    #[inline]
    fn put<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op, value: u64) -> Step {
        cpu.store::<SIZE>(&op.mem, value)
    }
}

impl Target for Any {
    #[inline]
    fn get<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64> {
        cpu.get(op, op.to, SIZE as u8)
    }

    #[inline]
    fn get_to_change<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step<u64> {
        cpu.get_to_change(op, op.to, SIZE as u8)
    }

    #[inline]
    fn put<const SIZE: usize>(cpu: &mut SoftCpu, op: &Op, value: u64) -> Step {
        cpu.put(op, op.to, SIZE as u8, value)
    }
}

/// An instruction with two operands of one size.
pub(crate) trait Binary {
    fn run<T: Target, S: Source, const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step;
}

/// An instruction with one operand.
pub(crate) trait Unary {
    fn run<T: Target, const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step;
}

/// Returns the function for an instruction's form.
pub(crate) fn binary<B: Binary>(operands: &Operands) -> Handler {
    match (operands.to, operands.from) {
        (Operand::Low(_), Operand::Low(_)) => sized::<B, Register, Register>(operands.size),
        (Operand::Low(_), Operand::Immediate) => sized::<B, Register, Immediate>(operands.size),
        (Operand::Low(_), Operand::Memory) => sized::<B, Register, Memory>(operands.size),
        (Operand::Memory, Operand::Low(_)) => sized::<B, Memory, Register>(operands.size),
        (Operand::Memory, Operand::Immediate) => sized::<B, Memory, Immediate>(operands.size),
        _ => sized::<B, Any, Any>(operands.size),
    }
}

fn sized<B: Binary, T: Target, S: Source>(size: u8) -> Handler {
    match size {
        1 => B::run::<T, S, 1>,
        2 => B::run::<T, S, 2>,
        4 => B::run::<T, S, 4>,
        _ => B::run::<T, S, 8>,
    }
}

/// Returns the function for an instruction's form.
pub(crate) fn unary<U: Unary>(operands: &Operands) -> Handler {
    match (operands.to, operands.size) {
        (Operand::Low(_), 1) => U::run::<Register, 1>,
        (Operand::Low(_), 2) => U::run::<Register, 2>,
        (Operand::Low(_), 4) => U::run::<Register, 4>,
        (Operand::Low(_), _) => U::run::<Register, 8>,
        (_, 1) => U::run::<Any, 1>,
        (_, 2) => U::run::<Any, 2>,
        (_, 4) => U::run::<Any, 4>,
        _ => U::run::<Any, 8>,
    }
}
