//! Numbers and their formats (Intel SDM volume 1, 4.2.2 and 4.8).

/// A binary floating-point format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// The number of significant bits, with the integer bit.
    pub(crate) precision: u32,
    /// The exponent of the largest numbers, which is also the bias.
    pub(crate) max_exponent: i32,
}

/// The class of a number (Intel SDM volume 1, 4.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Zero,
    /// A finite number that is not zero.
    Normal,
    /// A finite number that its format holds without a leading 1. It raises the denormal exception.
    Denormal,
    Infinity,
    Quiet,
    Signaling,
    /// Bits of the 80-bit format that are no number any more (Intel SDM volume 1, table 8-3).
    Unsupported,
}

/// A number of any of the formats, unpacked: `significand / 2^63 * 2^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) negative: bool,
    pub(crate) kind: Kind,
    pub(crate) exponent: i32,
    /// Bit 63 is set, except of a zero. A NaN's payload is aligned to the left, as conversions keep it.
    pub(crate) significand: u64,
}

/// The leading bit of a significand.
pub(crate) const INTEGER: u64 = 1 << 63;
/// The bit of a significand that makes a NaN quiet.
const QUIET: u64 = 1 << 62;

impl Number {
    /// The real indefinite: the NaN that invalid operations return (Intel SDM volume 1, 4.8.3.7).
    pub(crate) const INDEFINITE: Self =
        Self { negative: true, kind: Kind::Quiet, exponent: 0, significand: INTEGER | QUIET };

    pub(crate) const ONE: Self =
        Self { negative: false, kind: Kind::Normal, exponent: 0, significand: INTEGER };

    pub(crate) fn zero(negative: bool) -> Self {
        Self { negative, kind: Kind::Zero, exponent: 0, significand: 0 }
    }

    pub(crate) fn infinity(negative: bool) -> Self {
        Self { negative, kind: Kind::Infinity, exponent: 0, significand: INTEGER }
    }

    pub(crate) fn finite(negative: bool, exponent: i32, significand: u64) -> Self {
        Self { negative, kind: Kind::Normal, exponent, significand }
    }

    pub(crate) fn is_nan(self) -> bool {
        matches!(self.kind, Kind::Quiet | Kind::Signaling)
    }

    pub(crate) fn is_zero(self) -> bool {
        self.kind == Kind::Zero
    }

    /// Returns the number with the opposite sign.
    pub(crate) fn negated(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    /// Returns a NaN as a quiet one.
    pub(crate) fn quieted(self) -> Self {
        Self { kind: Kind::Quiet, significand: self.significand | QUIET, ..self }
    }

    /// Returns the number, or a zero of its sign for a denormal one (Intel SDM volume 1, 10.2.3.4).
    pub(crate) fn without_denormals(self) -> Self {
        if self.kind == Kind::Denormal { Self::zero(self.negative) } else { self }
    }
}

impl Format {
    pub(crate) const SINGLE: Self = Self { precision: 24, max_exponent: 127 };
    pub(crate) const DOUBLE: Self = Self { precision: 53, max_exponent: 1023 };
    pub(crate) const EXTENDED: Self = Self { precision: 64, max_exponent: 16383 };

    /// The exponent of the smallest number that is not denormal.
    pub(crate) fn min_exponent(self) -> i32 {
        1 - self.max_exponent
    }

    /// Unpacks 32 or 64 bits.
    pub(crate) fn decode(self, bits: u64) -> Number {
        let stored = self.precision - 1;
        let ones = 2 * self.max_exponent + 1;
        let biased = (bits >> stored) as i32 & ones;
        let fraction = (bits & ((1 << stored) - 1)) << (63 - stored);
        let negative = bits >> (stored + ones.count_ones()) & 1 != 0;
        match biased {
            0 => self.decode_denormal(negative, fraction),
            _ if biased == ones => special(negative, fraction),
            _ => Number::finite(negative, biased - self.max_exponent, INTEGER | fraction),
        }
    }

    fn decode_denormal(self, negative: bool, fraction: u64) -> Number {
        let zeros = fraction.leading_zeros();
        match fraction {
            0 => Number::zero(negative),
            _ => Number {
                kind: Kind::Denormal,
                ..Number::finite(negative, self.min_exponent() - zeros.cast_signed(), fraction << zeros)
            },
        }
    }

    /// Packs a number into 32 or 64 bits. It fits, or is a NaN, whose payload is cut.
    pub(crate) fn encode(self, number: Number) -> u64 {
        let stored = self.precision - 1;
        let (biased, significand) = self.parts(number);
        let fraction = (significand & !INTEGER) >> (63 - stored);
        let sign = u64::from(number.negative) << (stored + (2 * self.max_exponent + 1).count_ones());
        sign | u64::from(biased) << stored | fraction
    }

    /// Returns the biased exponent, and the significand with its integer bit.
    fn parts(self, number: Number) -> (u16, u64) {
        match number.kind {
            Kind::Zero => (0, 0),
            Kind::Normal | Kind::Denormal => {
                let below = self.min_exponent() - number.exponent;
                match u32::try_from(below) {
                    Ok(shift @ 1..) => (0, number.significand.checked_shr(shift).unwrap_or(0)),
                    _ => ((number.exponent + self.max_exponent) as u16, number.significand),
                }
            }
            _ => ((2 * self.max_exponent + 1) as u16, number.significand),
        }
    }
}

fn special(negative: bool, fraction: u64) -> Number {
    let kind = match fraction {
        0 => return Number::infinity(negative),
        _ if fraction & QUIET != 0 => Kind::Quiet,
        _ => Kind::Signaling,
    };
    Number { negative, kind, exponent: 0, significand: INTEGER | fraction }
}

/// The 80-bit format has an integer bit, so that some bits are no numbers (Intel SDM volume 1, 8.2.2).
impl Number {
    /// Unpacks sign and exponent, and the significand.
    pub(crate) fn from_extended(head: u16, significand: u64) -> Self {
        let negative = head >> 15 != 0;
        let biased = i32::from(head & 0x7FFF);
        let has_integer = significand & INTEGER != 0;
        match biased {
            // A pseudo-denormal has the integer bit.
            0 => match Format::EXTENDED.decode_denormal(negative, significand) {
                number if has_integer => Self { kind: Kind::Denormal, ..number },
                number => number,
            },
            _ if !has_integer => Self { kind: Kind::Unsupported, ..Self::INDEFINITE },
            0x7FFF => special(negative, significand & !INTEGER),
            _ => Self::finite(negative, biased - Format::EXTENDED.max_exponent, significand),
        }
    }

    /// Packs into sign and exponent, and the significand.
    pub(crate) fn to_extended(self) -> (u16, u64) {
        let (biased, significand) = Format::EXTENDED.parts(self);
        (u16::from(self.negative) << 15 | biased, significand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_number_comes_back_as_it_was() {
        for bits in
            [0, 1, 0x7F_FFFF, 0x80_0000, 0x3F80_0000, 0x7F7F_FFFF, 0x7F80_0000, 0x7F80_0001, 0x7FC1_2345]
        {
            for bits in [bits, bits | 1 << 31] {
                assert_eq!(Format::SINGLE.encode(Format::SINGLE.decode(bits)), bits, "{bits:#x}");
            }
        }
        for bits in [0, 1, 0xF_FFFF_FFFF_FFFF, 1 << 52, 0x3FF8 << 48, 0x7FF0 << 48, (0x7FF0 << 48) + 5] {
            assert_eq!(Format::DOUBLE.encode(Format::DOUBLE.decode(bits)), bits, "{bits:#x}");
        }
        for (head, significand) in
            [(0, 0), (0, 1), (0x8000, 1 << 62), (1, 1 << 63), (0x7FFF, 1 << 63), (0xFFFF, u64::MAX)]
        {
            assert_eq!(Number::from_extended(head, significand).to_extended(), (head, significand));
        }
    }

    #[test]
    fn bits_of_the_80_bit_format_can_be_no_number() {
        let kind = |head, significand| Number::from_extended(head, significand).kind;
        // The pseudo-NaN, the pseudo-infinity and the unnormal of table 8-3, and the pseudo-denormal that is a number.
        assert_eq!(kind(0x7FFF, 5), Kind::Unsupported);
        assert_eq!(kind(0x7FFF, 0), Kind::Unsupported);
        assert_eq!(kind(0x1234, 1 << 62), Kind::Unsupported);
        let pseudo = Number::from_extended(0, 1 << 63);
        assert_eq!((pseudo.kind, pseudo.exponent), (Kind::Denormal, -16382));
    }
}
