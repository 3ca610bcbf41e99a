//! Decimal adjustments (Intel SDM volume 1, 7.3.3; volume 2A has each one's rules).

use crate::{
    cpu::Op,
    cpu::SoftCpu,
    fault::{DE, Step, fault},
    flags,
};

const AX: u8 = 0;

impl SoftCpu {
    fn low_and_high(&self) -> (u8, u8) {
        let [low, high] = (self.register(AX, 2) as u16).to_le_bytes();
        (low, high)
    }

    fn put_low_and_high(&mut self, low: u8, high: u8) {
        self.set_register(AX, 2, u16::from_le_bytes([low, high]).into());
    }

    /// DAA and DAS: adjusts AL after an addition or a subtraction of packed digits.
    fn adjust_packed(&mut self, change: fn(u8, u8) -> u8, borrows: fn(u8) -> bool) {
        let (old, high) = self.low_and_high();
        let low_digit = old & 0xF > 9 || self.flags.adjust();
        let high_digit = old > 0x99 || self.flags.carry();
        let result = change(old, u8::from(low_digit) * 6 + u8::from(high_digit) * 0x60);
        self.put_low_and_high(result, high);
        let carry = high_digit || low_digit && borrows(old);
        self.flags.set_result(result.into(), 1, carry, false, low_digit);
    }

    pub(crate) fn daa(&mut self, _: &Op) -> Step {
        self.adjust_packed(u8::wrapping_add, |_| false);
        Ok(())
    }

    pub(crate) fn das(&mut self, _: &Op) -> Step {
        // The subtraction of 6 borrows from below 6.
        self.adjust_packed(u8::wrapping_sub, |old| old < 6);
        Ok(())
    }

    /// AAA and AAS: adjusts AX after an addition or a subtraction of digits.
    fn adjust_digits(&mut self, change: fn(u16, u16) -> u16) {
        let ax = self.register(AX, 2) as u16;
        let is_needed = ax & 0xF > 9 || self.flags.adjust();
        let result = if is_needed { change(ax, 0x106) } else { ax };
        self.set_register(AX, 2, (result & 0xFF0F).into());
        self.flags.put(flags::CF | flags::AF, is_needed);
    }

    pub(crate) fn aaa(&mut self, _: &Op) -> Step {
        self.adjust_digits(u16::wrapping_add);
        Ok(())
    }

    pub(crate) fn aas(&mut self, _: &Op) -> Step {
        self.adjust_digits(u16::wrapping_sub);
        Ok(())
    }

    /// AAM: AL is divided by a base, which is 10 in the usual encoding.
    pub(crate) fn aam(&mut self, op: &Op) -> Step {
        let (low, _) = self.low_and_high();
        let base = op.imm as u8;
        let quotient = low.checked_div(base).ok_or(fault(DE))?;
        self.put_low_and_high(low % base, quotient);
        self.flags.set_result((low % base).into(), 1, false, false, false);
        Ok(())
    }

    /// AAD: the two digits in AX become a number in AL.
    pub(crate) fn aad(&mut self, op: &Op) -> Step {
        let (low, high) = self.low_and_high();
        let result = low.wrapping_add(high.wrapping_mul(op.imm as u8));
        self.put_low_and_high(result, 0);
        self.flags.set_result(result.into(), 1, false, false, false);
        Ok(())
    }
}
