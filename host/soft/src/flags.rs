//! The status flags, computed when they are read.
//!
//! An arithmetic instruction leaves its result and the carries out of each bit. CF, AF and OF are carries, and ZF, SF
//! and PF follow from the result (Intel SDM volume 1, 3.4.3.1). Most results are overwritten before a flag is read.

pub(crate) const CF: u64 = 1 << 0;
pub(crate) const PF: u64 = 1 << 2;
pub(crate) const AF: u64 = 1 << 4;
pub(crate) const ZF: u64 = 1 << 6;
pub(crate) const SF: u64 = 1 << 7;
pub(crate) const TF: u64 = 1 << 8;
pub(crate) const IF: u64 = 1 << 9;
pub(crate) const DF: u64 = 1 << 10;
pub(crate) const OF: u64 = 1 << 11;
pub(crate) const IOPL: u64 = 3 << 12;
pub(crate) const NT: u64 = 1 << 14;
pub(crate) const RF: u64 = 1 << 16;
pub(crate) const VM: u64 = 1 << 17;
pub(crate) const AC: u64 = 1 << 18;
pub(crate) const VIF: u64 = 1 << 19;
pub(crate) const VIP: u64 = 1 << 20;
pub(crate) const ID: u64 = 1 << 21;

/// All flags that are not reserved.
pub(crate) const ALL: u64 = 0x3F_7FD5;
/// The status flags.
pub(crate) const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// RFLAGS, the status flags perhaps still to be computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    word: u64,
    is_lazy: bool,
    result: u64,
    carries: u64,
    /// The number of the result's sign bit.
    top: u32,
}

impl Flags {
    pub(crate) fn new(word: u64) -> Self {
        Self { word, is_lazy: false, result: 0, carries: 0, top: 7 }
    }

    /// Returns RFLAGS.
    pub(crate) fn get(&self) -> u64 {
        if !self.is_lazy {
            return self.word;
        }
        let flag = |condition: bool, flag: u64| if condition { flag } else { 0 };
        self.word & !STATUS
            | flag(self.carry(), CF)
            | flag(self.parity(), PF)
            | flag(self.carries >> 3 & 1 != 0, AF)
            | flag(self.zero(), ZF)
            | flag(self.sign(), SF)
            | flag(self.overflow(), OF)
    }

    /// Sets RFLAGS.
    pub(crate) fn set(&mut self, word: u64) {
        (self.word, self.is_lazy) = (word, false);
    }

    /// Sets or clears these flags.
    pub(crate) fn put(&mut self, flags: u64, on: bool) {
        let word = self.get();
        self.set(if on { word | flags } else { word & !flags });
    }

    /// Returns true if one of these flags, which are not status flags, is set.
    pub(crate) fn has(&self, flags: u64) -> bool {
        self.word & flags != 0
    }

    /// Leaves the status flags of a result of `size` bytes with these carries out of each bit.
    pub(crate) fn leave(&mut self, result: u64, carries: u64, size: u8) {
        (self.is_lazy, self.result, self.carries, self.top) =
            (true, result, carries, 8 * u32::from(size) - 1);
    }

    /// As [`leave`](Self::leave), but CF stays as it is.
    pub(crate) fn leave_without_carry(&mut self, result: u64, carries: u64, size: u8) {
        let (carry, top) = (u64::from(self.carry()), 8 * u32::from(size) - 1);
        // OF is the difference of the two highest carries: both are adjusted.
        let overflow = (carries >> top ^ carries >> (top - 1)) & 1;
        let rest = carries & !(3 << (top - 1));
        self.leave(result, rest | carry << top | (carry ^ overflow) << (top - 1), size);
    }

    /// Sets PF, ZF and SF by a result of `size` bytes, and CF, OF and AF as they are given.
    pub(crate) fn set_result(&mut self, result: u64, size: u8, carry: bool, overflow: bool, adjust: bool) {
        let top = 8 * u32::from(size) - 1;
        let carries = u64::from(carry) << top | u64::from(carry != overflow) << (top - 1);
        // In a byte, bit 3 is neither of the two highest; in all sizes it is AF.
        self.leave(result, carries | u64::from(adjust) << 3, size);
    }

    pub(crate) fn carry(&self) -> bool {
        if self.is_lazy { self.carries >> self.top & 1 != 0 } else { self.word & CF != 0 }
    }

    pub(crate) fn adjust(&self) -> bool {
        if self.is_lazy { self.carries >> 3 & 1 != 0 } else { self.word & AF != 0 }
    }

    pub(crate) fn zero(&self) -> bool {
        if self.is_lazy { self.result << (63 - self.top) == 0 } else { self.word & ZF != 0 }
    }

    pub(crate) fn sign(&self) -> bool {
        if self.is_lazy { self.result >> self.top & 1 != 0 } else { self.word & SF != 0 }
    }

    pub(crate) fn overflow(&self) -> bool {
        match self.is_lazy {
            true => (self.carries >> self.top ^ self.carries >> (self.top - 1)) & 1 != 0,
            false => self.word & OF != 0,
        }
    }

    fn parity(&self) -> bool {
        if self.is_lazy { (self.result & 0xFF).count_ones().is_multiple_of(2) } else { self.word & PF != 0 }
    }

    /// Returns true if a condition of Jcc, SETcc or CMOVcc holds. `code` is the low half of the opcode (Intel SDM
    /// volume 1, appendix B): an odd one is the opposite of the even one below it.
    #[inline]
    pub(crate) fn condition(&self, code: u8) -> bool {
        let even = match code >> 1 {
            0 => self.overflow(),
            1 => self.carry(),
            2 => self.zero(),
            3 => self.carry() || self.zero(),
            4 => self.sign(),
            5 => self.parity(),
            6 => self.sign() != self.overflow(),
            _ => self.zero() || self.sign() != self.overflow(),
        };
        even != (code & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_from_a_result_and_its_carries() {
        let mut flags = Flags::new(2);
        // 0xFF + 1 as bytes: every bit carries.
        flags.leave(0x100, 0xFF, 1);
        assert_eq!(flags.get(), 2 | CF | PF | AF | ZF);
        // 0x7F + 1: all bits below the sign carry.
        flags.leave(0x80, 0x7F, 1);
        assert_eq!(flags.get(), 2 | AF | SF | OF);
    }

    #[test]
    fn a_carry_can_stay() {
        for carry in [false, true] {
            for (result, carries) in [(0x80_u64, 0x7F_u64), (0, 0xFF), (0x7F, 0x80), (5, 0)] {
                let (mut plain, mut kept) = (Flags::new(2), Flags::new(2 | u64::from(carry)));
                plain.leave(result, carries, 1);
                kept.leave_without_carry(result, carries, 1);
                assert_eq!(kept.get() & !CF, plain.get() & !CF, "{result:#x}");
                assert_eq!(kept.carry(), carry);
            }
        }
    }

    #[test]
    fn given_flags_are_kept_in_every_size() {
        for size in [1, 2, 4, 8] {
            for bits in 0..8_u8 {
                let (carry, overflow, adjust) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
                let mut flags = Flags::new(2);
                flags.set_result(3, size, carry, overflow, adjust);
                assert_eq!((flags.carry(), flags.overflow(), flags.adjust()), (carry, overflow, adjust));
                assert_eq!(flags.get() & (PF | ZF | SF), PF);
            }
        }
    }
}
