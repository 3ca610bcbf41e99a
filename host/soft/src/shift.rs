//! Shifts and rotations (Intel SDM volume 1, 7.3.6).

use crate::{
    cpu::Op,
    cpu::SoftCpu,
    fault::Step,
    flags,
    operand::{mask, sign_extended},
};

impl SoftCpu {
    /// Returns the count: 5 bits, or 6 for operands of 64 bits.
    fn count(&mut self, op: &Op) -> Step<u32> {
        let limit = if op.size == 8 { 63 } else { 31 };
        Ok((self.get(op, op.from, 1)? & limit) as u32)
    }

    pub(crate) fn shl(&mut self, op: &Op) -> Step {
        let count = self.count(op)?;
        let a = self.get_to_change(op, op.to, op.size)?;
        let bits = 8 * u32::from(op.size);
        let result = a << count & mask(op.size);
        self.put(op, op.to, op.size, result)?;
        if count > 0 {
            let carry = count <= bits && a >> (bits - count) & 1 != 0;
            let overflow = carry != (result >> (bits - 1) & 1 != 0);
            self.flags.set_result(result, op.size, carry, overflow, false);
        }
        Ok(())
    }

    pub(crate) fn shr(&mut self, op: &Op) -> Step {
        let count = self.count(op)?;
        let a = self.get_to_change(op, op.to, op.size)?;
        let bits = 8 * u32::from(op.size);
        let result = a >> count;
        self.put(op, op.to, op.size, result)?;
        if count > 0 {
            let carry = a >> (count - 1) & 1 != 0;
            let overflow = count == 1 && a >> (bits - 1) & 1 != 0;
            self.flags.set_result(result, op.size, carry, overflow, false);
        }
        Ok(())
    }

    pub(crate) fn sar(&mut self, op: &Op) -> Step {
        let count = self.count(op)?;
        let a = self.get_to_change(op, op.to, op.size)?;
        let extended = sign_extended(a, op.size).cast_signed();
        let result = (extended >> count).cast_unsigned() & mask(op.size);
        self.put(op, op.to, op.size, result)?;
        if count > 0 {
            let carry = extended >> (count - 1) & 1 != 0;
            self.flags.set_result(result, op.size, carry, false, false);
        }
        Ok(())
    }

    pub(crate) fn rol(&mut self, op: &Op) -> Step {
        let count = self.count(op)?;
        let a = self.get_to_change(op, op.to, op.size)?;
        let bits = 8 * u32::from(op.size);
        let result = rotated(a, count % bits, bits);
        self.put(op, op.to, op.size, result)?;
        if count > 0 {
            let carry = result & 1 != 0;
            self.put_carry_and_overflow(carry, carry != (result >> (bits - 1) & 1 != 0));
        }
        Ok(())
    }

    pub(crate) fn ror(&mut self, op: &Op) -> Step {
        let count = self.count(op)?;
        let a = self.get_to_change(op, op.to, op.size)?;
        let bits = 8 * u32::from(op.size);
        let result = rotated(a, (bits - count % bits) % bits, bits);
        self.put(op, op.to, op.size, result)?;
        if count > 0 {
            let top = |bit: u32| result >> (bits - bit) & 1 != 0;
            self.put_carry_and_overflow(top(1), top(1) != top(2));
        }
        Ok(())
    }

    /// RCL: the carry flag is a bit above the highest.
    pub(crate) fn rcl(&mut self, op: &Op) -> Step {
        let bits = 8 * u32::from(op.size);
        let masked = self.count(op)?;
        let count = masked % (bits + 1);
        let a = self.get_to_change(op, op.to, op.size)?;
        let (result, carry) = self.rotated_with_carry(a, count, bits);
        self.put(op, op.to, op.size, result)?;
        if masked > 0 {
            self.put_carry_and_overflow(carry, carry != (result >> (bits - 1) & 1 != 0));
        }
        Ok(())
    }

    pub(crate) fn rcr(&mut self, op: &Op) -> Step {
        let bits = 8 * u32::from(op.size);
        let masked = self.count(op)?;
        let count = masked % (bits + 1);
        let a = self.get_to_change(op, op.to, op.size)?;
        let (result, carry) = self.rotated_with_carry(a, (bits + 1 - count) % (bits + 1), bits);
        self.put(op, op.to, op.size, result)?;
        if masked > 0 {
            let top = |bit: u32| result >> (bits - bit) & 1 != 0;
            self.put_carry_and_overflow(carry, top(1) != top(2));
        }
        Ok(())
    }

    /// Rotates a value and the carry flag to the left.
    fn rotated_with_carry(&self, a: u64, count: u32, bits: u32) -> (u64, bool) {
        let wide = u128::from(self.flags.carry()) << bits | u128::from(a);
        let all = (1 << (bits + 1)) - 1;
        let rotated = (wide << count | wide >> (bits + 1 - count)) & all;
        (rotated as u64 & (all >> 1) as u64, rotated >> bits & 1 != 0)
    }

    fn put_carry_and_overflow(&mut self, carry: bool, overflow: bool) {
        self.flags.put(flags::CF, carry);
        self.flags.put(flags::OF, overflow);
    }

    /// SHLD: bits of the second operand come in from the right.
    pub(crate) fn shld(&mut self, op: &Op) -> Step {
        let bits = 8 * u32::from(op.size);
        let (count, b) = (self.double_count(op), self.get(op, op.from, op.size)?);
        let a = self.get_to_change(op, op.to, op.size)?;
        if count == 0 {
            // Nothing changes but the upper half of a 32-bit register.
            return self.put(op, op.to, op.size, a);
        }
        // From the top of 128 bits: the operands, and for counts beyond the size, which are undefined for 16 bits, the
        // first one again, as CPUs do.
        let again = if bits < 64 { u128::from(a) << (128 - 3 * bits) } else { 0 };
        let wide = u128::from(a) << (128 - bits) | u128::from(b) << (128 - 2 * bits) | again;
        let result = (wide << count >> (128 - bits)) as u64;
        let carry = wide << (count - 1) >> 127 != 0;
        self.put(op, op.to, op.size, result)?;
        let overflow = (a ^ result) >> (bits - 1) & 1 != 0;
        self.flags.set_result(result, op.size, carry, overflow, false);
        Ok(())
    }

    /// SHRD: bits of the second operand come in from the left.
    pub(crate) fn shrd(&mut self, op: &Op) -> Step {
        let bits = 8 * u32::from(op.size);
        let (count, b) = (self.double_count(op), self.get(op, op.from, op.size)?);
        let a = self.get_to_change(op, op.to, op.size)?;
        if count == 0 {
            // Nothing changes but the upper half of a 32-bit register.
            return self.put(op, op.to, op.size, a);
        }
        let pair = u128::from(b) << bits | u128::from(a);
        let wide = if bits < 64 { u128::from(a) << (2 * bits) | pair } else { pair };
        let result = (wide >> count) as u64 & mask(op.size);
        let carry = wide >> (count - 1) & 1 != 0;
        self.put(op, op.to, op.size, result)?;
        let overflow = (a ^ result) >> (bits - 1) & 1 != 0;
        self.flags.set_result(result, op.size, carry, overflow, false);
        Ok(())
    }

    /// Returns the count of SHLD and SHRD: an immediate value, or CL.
    fn double_count(&self, op: &Op) -> u32 {
        let limit = if op.size == 8 { 63 } else { 31 };
        let is_immediate = op.insn.op_kind(2) == iced_x86::OpKind::Immediate8;
        (if is_immediate { op.imm } else { self.register(1, 1) } & limit) as u32
    }
}

/// Rotates a value of `bits` bits to the left, by less than that.
fn rotated(value: u64, count: u32, bits: u32) -> u64 {
    let value = value & mask((bits / 8) as u8);
    match count {
        0 => value,
        _ => (value << count | value >> (bits - count)) & mask((bits / 8) as u8),
    }
}
