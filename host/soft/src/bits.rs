//! Bits and bytes: tests and searches (Intel SDM volume 1, 7.3.7).

use crate::{
    cpu::SoftCpu,
    cpu::{Op, Operand},
    fault::Step,
    flags,
    operand::{mask, sign_extended},
};

impl SoftCpu {
    /// Carries out BT, BTS, BTR or BTC. A bit's number in a register can lie far outside of the operand in memory
    /// (Intel SDM volume 2A, "BT").
    fn bit(&mut self, op: &Op, change: Option<fn(u64, u64) -> u64>) -> Step {
        let (size, bits) = (op.size, 8 * i64::from(op.size));
        let index =
            sign_extended(self.get(op, op.from, if op.from == Operand::Immediate { 1 } else { size })?, size);
        let bit = 1 << (index & (bits.cast_unsigned() - 1));
        if op.to == Operand::Memory && op.from != Operand::Immediate {
            let distance = index.cast_signed().div_euclid(bits) * i64::from(size);
            let offset = self.offset(&op.mem).wrapping_add(distance.cast_unsigned()) & op.mem.mask;
            let value = match change {
                Some(_) => self.read_to_change(op.mem.segment, offset, size)?,
                None => self.read(op.mem.segment, offset, size)?,
            };
            if let Some(change) = change {
                self.write(op.mem.segment, offset, size, change(value, bit))?;
            }
            self.flags.put(flags::CF, value & bit != 0);
            return Ok(());
        }
        let value = match change {
            Some(_) => self.get_to_change(op, op.to, size)?,
            None => self.get(op, op.to, size)?,
        };
        if let Some(change) = change {
            self.put(op, op.to, size, change(value, bit))?;
        }
        self.flags.put(flags::CF, value & bit != 0);
        Ok(())
    }

    pub(crate) fn bt(&mut self, op: &Op) -> Step {
        self.bit(op, None)
    }

    pub(crate) fn bts(&mut self, op: &Op) -> Step {
        self.bit(op, Some(|value, bit| value | bit))
    }

    pub(crate) fn btr(&mut self, op: &Op) -> Step {
        self.bit(op, Some(|value, bit| value & !bit))
    }

    pub(crate) fn btc(&mut self, op: &Op) -> Step {
        self.bit(op, Some(|value, bit| value ^ bit))
    }

    /// BSF: the destination stays as it is if there is no bit.
    pub(crate) fn bsf(&mut self, op: &Op) -> Step {
        let value = self.get(op, op.from, op.size)?;
        self.flags.put(flags::ZF, value == 0);
        if value == 0 { Ok(()) } else { self.put(op, op.to, op.size, value.trailing_zeros().into()) }
    }

    pub(crate) fn bsr(&mut self, op: &Op) -> Step {
        let value = self.get(op, op.from, op.size)?;
        self.flags.put(flags::ZF, value == 0);
        if value == 0 { Ok(()) } else { self.put(op, op.to, op.size, (63 - value.leading_zeros()).into()) }
    }

    pub(crate) fn popcnt(&mut self, op: &Op) -> Step {
        let value = self.get(op, op.from, op.size)?;
        self.put(op, op.to, op.size, value.count_ones().into())?;
        self.flags.put(flags::STATUS, false);
        self.flags.put(flags::ZF, value == 0);
        Ok(())
    }

    pub(crate) fn bswap(&mut self, op: &Op) -> Step {
        let value = self.get(op, op.to, op.size)?;
        // For 16 bits the result is undefined: CPUs leave 0.
        let swapped = if op.size == 2 { 0 } else { value.swap_bytes() >> (64 - 8 * u32::from(op.size)) };
        self.put(op, op.to, op.size, swapped)
    }

    pub(crate) fn movbe(&mut self, op: &Op) -> Step {
        let value = self.get(op, op.from, op.size)?;
        self.put(op, op.to, op.size, value.swap_bytes() >> (64 - 8 * u32::from(op.size)))
    }

    pub(crate) fn setcc(&mut self, op: &Op) -> Step {
        let is_met = self.flags.condition(op.condition);
        self.put(op, op.to, 1, is_met.into())
    }

    /// CMOVcc: the source is read and, with 32 bits, the upper half is cleared whether the condition holds or not.
    pub(crate) fn cmovcc(&mut self, op: &Op) -> Step {
        let value = self.get(op, op.from, op.size)?;
        let old = self.get(op, op.to, op.size)?;
        let is_met = self.flags.condition(op.condition);
        self.put(op, op.to, op.size, if is_met { value } else { old } & mask(op.size))
    }
}
