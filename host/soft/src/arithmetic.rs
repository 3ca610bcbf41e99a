//! Integer arithmetic and logic (Intel SDM volume 1, 7.3.2 and 7.3.3).

use crate::{
    cpu::SoftCpu,
    cpu::{Op, Operand},
    fault::{DE, Step, fault},
    flags,
    forms::{Binary, Source, Target, Unary},
    operand::{mask, sign_extended},
};

/// Returns the carries out of each bit of `a + b (+ 1) = result`.
fn sum_carries(a: u64, b: u64, result: u64) -> u64 {
    a & b | (a | b) & !result
}

/// Returns the borrows into each bit of `a - b (- 1) = result`.
fn difference_borrows(a: u64, b: u64, result: u64) -> u64 {
    !a & b | !(a ^ b) & result
}

/// An instruction that computes a value of two, and leaves flags.
pub(crate) trait Arithmetic {
    /// True if the first operand gets the result.
    const WRITES: bool = true;

    /// Returns the result, and the carries out of each bit. `carry` is CF.
    fn compute(a: u64, b: u64, carry: bool) -> (u64, u64);
}

impl<A: Arithmetic> Binary for A {
    fn run<T: Target, S: Source, const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step {
        let b = S::get::<SIZE>(cpu, op)?;
        let a = if A::WRITES { T::get_to_change::<SIZE>(cpu, op)? } else { T::get::<SIZE>(cpu, op)? };
        let (result, carries) = A::compute(a, b, cpu.flags.carry());
        if A::WRITES {
            T::put::<SIZE>(cpu, op, result)?;
        }
        cpu.flags.leave(result, carries, SIZE as u8);
        Ok(())
    }
}

macro_rules! arithmetic {
    ($($name:ident: |$a:ident, $b:ident, $carry:ident| $result:expr, $carries:expr;)*) => {
        $(
            pub(crate) struct $name;

            impl Arithmetic for $name {
                #[inline]
                fn compute($a: u64, $b: u64, $carry: bool) -> (u64, u64) {
                    let result = $result;
                    (result, $carries($a, $b, result))
                }
            }
        )*
    };
}

arithmetic! {
    Add: |a, b, _carry| a.wrapping_add(b), sum_carries;
    Adc: |a, b, carry| a.wrapping_add(b).wrapping_add(carry.into()), sum_carries;
    Sub: |a, b, _carry| a.wrapping_sub(b), difference_borrows;
    Sbb: |a, b, carry| a.wrapping_sub(b).wrapping_sub(carry.into()), difference_borrows;
    And: |a, b, _carry| a & b, no_carries;
    Or: |a, b, _carry| a | b, no_carries;
    Xor: |a, b, _carry| a ^ b, no_carries;
}

fn no_carries(_: u64, _: u64, _: u64) -> u64 {
    0
}

pub(crate) struct Cmp;

impl Arithmetic for Cmp {
    const WRITES: bool = false;

    #[inline]
    fn compute(a: u64, b: u64, carry: bool) -> (u64, u64) {
        Sub::compute(a, b, carry)
    }
}

pub(crate) struct Test;

impl Arithmetic for Test {
    const WRITES: bool = false;

    #[inline]
    fn compute(a: u64, b: u64, carry: bool) -> (u64, u64) {
        And::compute(a, b, carry)
    }
}

pub(crate) struct Inc;

impl Unary for Inc {
    fn run<T: Target, const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step {
        let a = T::get_to_change::<SIZE>(cpu, op)?;
        let result = a.wrapping_add(1);
        T::put::<SIZE>(cpu, op, result)?;
        cpu.flags.leave_without_carry(result, sum_carries(a, 1, result), SIZE as u8);
        Ok(())
    }
}

pub(crate) struct Dec;

impl Unary for Dec {
    fn run<T: Target, const SIZE: usize>(cpu: &mut SoftCpu, op: &Op) -> Step {
        let a = T::get_to_change::<SIZE>(cpu, op)?;
        let result = a.wrapping_sub(1);
        T::put::<SIZE>(cpu, op, result)?;
        cpu.flags.leave_without_carry(result, difference_borrows(a, 1, result), SIZE as u8);
        Ok(())
    }
}

impl SoftCpu {
    /// Returns the operands of an instruction that changes the first.
    #[inline]
    fn both(&mut self, op: &Op) -> Step<(u64, u64)> {
        let b = self.get(op, op.from, op.size)?;
        Ok((self.get_to_change(op, op.to, op.size)?, b))
    }

    /// Leaves the flags of `a - b`.
    pub(crate) fn compare(&mut self, a: u64, b: u64, size: u8) {
        let result = a.wrapping_sub(b);
        self.flags.leave(result, difference_borrows(a, b, result), size);
    }

    pub(crate) fn neg(&mut self, op: &Op) -> Step {
        let a = self.get_to_change(op, op.to, op.size)?;
        let result = a.wrapping_neg();
        self.put(op, op.to, op.size, result)?;
        self.flags.leave(result, difference_borrows(0, a, result), op.size);
        Ok(())
    }

    pub(crate) fn not(&mut self, op: &Op) -> Step {
        let a = self.get_to_change(op, op.to, op.size)?;
        self.put(op, op.to, op.size, !a)
    }

    /// XADD: the sum goes to the first operand, and its old value to the second.
    pub(crate) fn xadd(&mut self, op: &Op) -> Step {
        let (a, b) = self.both(op)?;
        let result = a.wrapping_add(b);
        // Both can be one register, which then holds the sum.
        match op.to {
            Operand::Memory => {
                self.put(op, op.to, op.size, result)?;
                self.put(op, op.from, op.size, a)?;
            }
            _ => {
                self.put(op, op.from, op.size, a)?;
                self.put(op, op.to, op.size, result)?;
            }
        }
        self.flags.leave(result, sum_carries(a, b, result), op.size);
        Ok(())
    }

    /// CMPXCHG: the accumulator is compared with the first operand, which gets the second one if they are equal.
    pub(crate) fn cmpxchg(&mut self, op: &Op) -> Step {
        let (old, new) = self.both(op)?;
        let expected = self.register(0, op.size);
        let is_equal = old == expected;
        // Memory is written either way. A register that differs is not: its upper half stays.
        if is_equal || op.to == Operand::Memory {
            self.put(op, op.to, op.size, if is_equal { new } else { old })?;
        }
        if !is_equal {
            self.set_register(0, op.size, old);
        }
        self.compare(expected, old, op.size);
        Ok(())
    }

    /// CMPXCHG8B and CMPXCHG16B: DX:AX is compared with memory, which gets CX:BX if they are equal.
    pub(crate) fn cmpxchg_pair(&mut self, op: &Op) -> Step {
        let half = if op.insn.mnemonic() == iced_x86::Mnemonic::Cmpxchg16b { 8 } else { 4 };
        let offset = self.offset(&op.mem);
        let high_offset = offset.wrapping_add(half.into()) & op.mem.mask;
        if half == 8 && self.linear(op.mem.segment, offset, 8, crate::access::Access::WRITE)? % 16 != 0 {
            return Err(crate::fault::gp0());
        }
        // CMPXCHG8B has one operand of 8 bytes, also for the check of its alignment.
        let (low, high) = match half {
            8 => {
                let low = self.read_to_change(op.mem.segment, offset, 8)?;
                (low, self.read_to_change(op.mem.segment, high_offset, 8)?)
            }
            _ => {
                let both = self.read_to_change(op.mem.segment, offset, 8)?;
                (both & mask(4), both >> 32)
            }
        };
        let is_equal = low == self.register(0, half) && high == self.register(2, half);
        let (new_low, new_high) = match is_equal {
            true => (self.register(3, half), self.register(1, half)),
            false => (low, high),
        };
        if half == 8 {
            self.write(op.mem.segment, offset, 8, new_low)?;
            self.write(op.mem.segment, high_offset, 8, new_high)?;
        } else {
            self.write(op.mem.segment, offset, 8, new_low | new_high << 32)?;
        }
        if !is_equal {
            self.set_register(0, half, low);
            self.set_register(2, half, high);
        }
        self.flags.put(flags::ZF, is_equal);
        Ok(())
    }

    /// MUL: the accumulator times the operand, unsigned. CF and OF say that the upper half is not 0.
    pub(crate) fn mul(&mut self, op: &Op) -> Step {
        let size = op.size;
        let product = u128::from(self.register(0, size)) * u128::from(self.get(op, op.to, size)?);
        self.put_product(size, product);
        let is_large = product >> (8 * u32::from(size)) != 0;
        self.flags.set_result(product as u64, size, is_large, is_large, false);
        Ok(())
    }

    /// IMUL with one operand: as [`mul`](Self::mul), signed.
    pub(crate) fn imul_wide(&mut self, op: &Op) -> Step {
        let size = op.size;
        let product = signed(self.register(0, size), size) * signed(self.get(op, op.to, size)?, size);
        self.put_product(size, product.cast_unsigned());
        let is_large = product != signed(product as u64, size);
        self.flags.set_result(product as u64, size, is_large, is_large, false);
        Ok(())
    }

    /// IMUL with two or three operands: the product is cut to the size of the first.
    pub(crate) fn imul(&mut self, op: &Op) -> Step {
        let size = op.size;
        let b = self.get(op, op.from, size)?;
        let a = if op.insn.op_count() == 3 { op.imm } else { self.get(op, op.to, size)? };
        let product = signed(a, size) * signed(b, size);
        self.put(op, op.to, size, product as u64)?;
        let is_large = product != signed(product as u64, size);
        self.flags.set_result(product as u64, size, is_large, is_large, false);
        Ok(())
    }

    /// Writes a product of twice the size: to AX, or to the data register and the accumulator.
    fn put_product(&mut self, size: u8, product: u128) {
        if size == 1 {
            self.set_register(0, 2, product as u64);
        } else {
            self.set_register(0, size, product as u64);
            self.set_register(2, size, (product >> (8 * u32::from(size))) as u64);
        }
    }

    /// Returns the dividend of twice the size.
    fn dividend(&self, size: u8) -> u128 {
        match size {
            1 => self.register(0, 2).into(),
            _ => {
                u128::from(self.register(2, size)) << (8 * u32::from(size))
                    | u128::from(self.register(0, size))
            }
        }
    }

    fn put_quotient(&mut self, size: u8, quotient: u64, remainder: u64) {
        match size {
            1 => self.set_register(0, 2, quotient & 0xFF | (remainder & 0xFF) << 8),
            _ => {
                self.set_register(0, size, quotient);
                self.set_register(2, size, remainder);
            }
        }
    }

    /// DIV: #DE where the divisor is 0 or the quotient does not fit.
    pub(crate) fn div(&mut self, op: &Op) -> Step {
        let (size, divisor) = (op.size, u128::from(self.get(op, op.to, op.size)?));
        let dividend = self.dividend(size);
        if divisor == 0 || dividend / divisor > u128::from(mask(size)) {
            return Err(fault(DE));
        }
        self.put_quotient(size, (dividend / divisor) as u64, (dividend % divisor) as u64);
        Ok(())
    }

    /// IDIV: as [`div`](Self::div), signed.
    pub(crate) fn idiv(&mut self, op: &Op) -> Step {
        let (size, divisor) = (op.size, signed(self.get(op, op.to, op.size)?, op.size));
        let unused = 128 - 16 * u32::from(size);
        let dividend = (self.dividend(size) << unused).cast_signed() >> unused;
        let quotient = dividend.checked_div(divisor).ok_or(fault(DE))?;
        if quotient != signed(quotient as u64, size) {
            return Err(fault(DE));
        }
        self.put_quotient(size, quotient as u64, (dividend % divisor) as u64);
        Ok(())
    }
}

/// Returns a value of `size` bytes as a signed number.
fn signed(value: u64, size: u8) -> i128 {
    sign_extended(value, size).cast_signed().into()
}
