//! Rounding, and the exceptions that it raises (Intel SDM volume 1, 4.8.4 and 4.9.1).

use crate::float::number::{Format, INTEGER, Kind, Number};

/// The exceptions' flags, in the order of MXCSR and of the x87 status word (Intel SDM volume 1, 4.9.1).
pub(crate) mod flag {
    pub(crate) const INVALID: u8 = 1 << 0;
    pub(crate) const DENORMAL: u8 = 1 << 1;
    pub(crate) const ZERO_DIVIDE: u8 = 1 << 2;
    pub(crate) const OVERFLOW: u8 = 1 << 3;
    pub(crate) const UNDERFLOW: u8 = 1 << 4;
    pub(crate) const PRECISION: u8 = 1 << 5;
    pub(crate) const ALL: u8 = 0x3F;
    /// The exceptions that are found before there is a result.
    pub(crate) const BEFORE: u8 = INVALID | DENORMAL | ZERO_DIVIDE;
}

/// A rounding mode (Intel SDM volume 1, table 4-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    Nearest,
    Down,
    Up,
    Zero,
}

impl Rounding {
    /// Returns the mode of a rounding-control field.
    pub(crate) fn new(field: u32) -> Self {
        match field & 3 {
            0 => Self::Nearest,
            1 => Self::Down,
            2 => Self::Up,
            _ => Self::Zero,
        }
    }
}

/// The value that x87 takes from an exponent that is too large, or adds to one that is too small, when the exception is
/// not masked (Intel SDM volume 1, 8.5.4).
const WRAP: i32 = 24576;

/// The control of operations, and the flags that they raise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub(crate) rounding: Rounding,
    /// The exceptions that are masked.
    pub(crate) masks: u8,
    /// A tiny result becomes zero (Intel SDM volume 1, 10.2.3.3).
    pub(crate) flushes: bool,
    /// The rules of x87 apply to NaNs, and not those of SSE (Intel SDM volume 1, table 4-7).
    pub(crate) is_x87: bool,
    /// The flags raised so far.
    pub(crate) flags: u8,
    /// The last result is further from zero than the exact one.
    pub(crate) rounded_up: bool,
}

/// A result before it is rounded: `significand / 2^127 * 2^exponent`. Bit 127 is set. Bit 0 is also set if bits below it
/// were lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    pub(crate) negative: bool,
    pub(crate) exponent: i32,
    pub(crate) significand: u128,
}

impl Exact {
    /// Returns `significand / 2^127 * 2^exponent` of a significand that is not 0.
    pub(crate) fn new(negative: bool, exponent: i32, significand: u128) -> Self {
        let zeros = significand.leading_zeros();
        Self { negative, exponent: exponent - zeros.cast_signed(), significand: significand << zeros }
    }
}

impl From<Number> for Exact {
    fn from(number: Number) -> Self {
        Self {
            negative: number.negative,
            exponent: number.exponent,
            significand: u128::from(number.significand) << 64,
        }
    }
}

/// A significand that has lost its low bits.
pub(crate) struct Cut {
    pub(crate) value: u128,
    pub(crate) inexact: bool,
    pub(crate) up: bool,
}

impl Context {
    /// Raises the invalid-operation exception.
    pub(crate) fn invalid(&mut self) -> Number {
        self.flags |= flag::INVALID;
        Number::INDEFINITE
    }

    /// Raises the denormal exception if one of the operands is denormal.
    pub(crate) fn note_denormals(&mut self, a: Number, b: Number) {
        if a.kind == Kind::Denormal || b.kind == Kind::Denormal {
            self.flags |= flag::DENORMAL;
        }
    }

    /// Returns true if one of these exceptions is raised and not masked.
    pub(crate) fn has_unmasked(&self, flags: u8) -> bool {
        self.flags & !self.masks & flags != 0
    }

    /// Drops the low bits of an exact result, all of them if need be, and rounds.
    pub(crate) fn cut(&self, exact: Exact, drop: u32) -> Cut {
        let all = exact.significand;
        let (value, rest, half) = match drop {
            0 => return Cut { value: all, inexact: false, up: false },
            1..=127 => (all >> drop, all & ((1 << drop) - 1), 1 << (drop - 1)),
            128 => (0, all, 1 << 127),
            _ => (0, 1, 2),
        };
        let up = match self.rounding {
            Rounding::Nearest => rest > half || rest == half && value & 1 != 0,
            Rounding::Down => rest != 0 && exact.negative,
            Rounding::Up => rest != 0 && !exact.negative,
            Rounding::Zero => false,
        };
        Cut { value: value + u128::from(up), inexact: rest != 0, up }
    }

    /// Rounds a result to a format, and raises overflow, underflow and precision.
    pub(crate) fn round(&mut self, exact: Exact, format: Format) -> Number {
        let cut = self.cut(exact, 128 - format.precision);
        let carries = cut.value >> format.precision != 0;
        let significand = ((cut.value << (64 - format.precision)) as u64) | if carries { INTEGER } else { 0 };
        let number = Number::finite(exact.negative, exact.exponent + i32::from(carries), significand);
        if number.exponent < format.min_exponent() {
            return self.underflow(exact, format, number, &cut);
        }
        if number.exponent > format.max_exponent {
            return self.overflow(number, format, &cut);
        }
        self.note_rounding(&cut);
        number
    }

    fn note_rounding(&mut self, cut: &Cut) {
        self.rounded_up = cut.up;
        if cut.inexact {
            self.flags |= flag::PRECISION;
        }
    }

    /// Returns the result of an overflow (Intel SDM volume 1, 4.9.1.4 and 8.5.4). `number` has the exponent that is too large.
    fn overflow(&mut self, number: Number, format: Format, cut: &Cut) -> Number {
        self.flags |= flag::OVERFLOW;
        if self.has_unmasked(flag::OVERFLOW) {
            self.note_rounding(cut);
            return Number { exponent: number.exponent - WRAP, ..number };
        }
        self.flags |= flag::PRECISION;
        self.rounded_up = match self.rounding {
            Rounding::Nearest => true,
            Rounding::Down => number.negative,
            Rounding::Up => !number.negative,
            Rounding::Zero => false,
        };
        match self.rounded_up {
            true => Number::infinity(number.negative),
            false => {
                let largest = u64::MAX << (64 - format.precision);
                Number::finite(number.negative, format.max_exponent, largest)
            }
        }
    }

    /// Returns the result of an underflow (Intel SDM volume 1, 4.9.1.5 and 8.5.5). `number` has the exponent that is too
    /// small.
    fn underflow(&mut self, exact: Exact, format: Format, number: Number, cut: &Cut) -> Number {
        if self.masks & flag::UNDERFLOW == 0 {
            self.flags |= flag::UNDERFLOW;
            self.note_rounding(cut);
            return Number { exponent: number.exponent + WRAP, ..number };
        }
        if self.flushes {
            self.flags |= flag::UNDERFLOW | flag::PRECISION;
            return Number::zero(exact.negative);
        }
        let below = (format.min_exponent() - exact.exponent).unsigned_abs();
        let cut = self.cut(exact, 128 - format.precision + below);
        self.note_rounding(&cut);
        if cut.inexact {
            self.flags |= flag::UNDERFLOW;
        }
        if cut.value == 0 {
            return Number::zero(exact.negative);
        }
        // The lowest of the kept bits is the format's last one.
        let exponent = format.min_exponent() + 128 - format.precision.cast_signed();
        let exact = Exact::new(exact.negative, exponent, cut.value);
        Number::finite(exact.negative, exact.exponent, (exact.significand >> 64) as u64)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const SSE: Context = Context {
        rounding: Rounding::Nearest,
        masks: flag::ALL,
        flushes: false,
        is_x87: false,
        flags: 0,
        rounded_up: false,
    };
    pub(crate) const X87: Context = Context { is_x87: true, ..SSE };

    /// Rounds `significand / 2^127 * 2^exponent` to a single-precision number: its bits, flags, and direction.
    fn rounded(context: Context, exponent: i32, significand: u128) -> (u32, u8, bool) {
        let mut context = context;
        let number = context.round(Exact { negative: false, exponent, significand }, Format::SINGLE);
        (Format::SINGLE.encode(number) as u32, context.flags, context.rounded_up)
    }

    /// The integer bit, and bits behind the 24 of the format.
    const ONE: u128 = 1 << 127;
    const HALF: u128 = 1 << 103;

    #[test]
    fn each_rounding_mode_has_its_direction() {
        use Rounding::{Down, Nearest, Up, Zero};
        let one = 1_f32.to_bits();
        for (rounding, rest, up) in [
            (Nearest, HALF - 1, false),
            (Nearest, HALF, false),
            (Nearest, HALF + 1, true),
            (Nearest, 3 * HALF, true),
            (Down, 2 * HALF - 1, false),
            (Up, 1, true),
            (Zero, 2 * HALF - 1, false),
        ] {
            let context = Context { rounding, ..SSE };
            let (bits, flags, rounded_up) = rounded(context, 0, ONE + rest);
            let expected = one + (rest >> 104) as u32 + u32::from(up);
            assert_eq!((bits, flags, rounded_up), (expected, flag::PRECISION, up), "{rounding:?} {rest:#x}");
        }
        assert_eq!(rounded(SSE, 0, ONE), (one, 0, false), "an exact result");
    }

    #[test]
    fn an_overflow_is_infinity_or_the_largest_number() {
        let flags = flag::OVERFLOW | flag::PRECISION;
        assert_eq!(rounded(SSE, 128, ONE), (f32::INFINITY.to_bits(), flags, true));
        let down = Context { rounding: Rounding::Down, ..SSE };
        assert_eq!(rounded(down, 128, ONE), (f32::MAX.to_bits(), flags, false));
        // Rounding carries into the exponent.
        assert_eq!(rounded(SSE, 127, u128::MAX), (f32::INFINITY.to_bits(), flags, true));
    }

    #[test]
    fn a_result_is_tiny_after_it_is_rounded() {
        let smallest = f32::MIN_POSITIVE.to_bits();
        let precision = flag::PRECISION;
        // With 24 bits it rounds up to the smallest normal number: it is not tiny.
        assert_eq!(rounded(SSE, -127, u128::MAX), (smallest, precision, true));
        // With 24 bits it does not, but with the 23 bits of a denormal number it does: it was tiny.
        let almost = u128::MAX - 2 * HALF + 1;
        assert_eq!(rounded(SSE, -127, almost), (smallest, flag::UNDERFLOW | precision, true));
        // An exact denormal result raises nothing, unless underflow is not masked.
        assert_eq!(rounded(SSE, -127, ONE), (smallest / 2, 0, false));
        let unmasked = Context { masks: flag::ALL & !flag::UNDERFLOW, ..SSE };
        assert_eq!(rounded(unmasked, -127, ONE).1, flag::UNDERFLOW);
        let flushes = Context { flushes: true, ..SSE };
        assert_eq!(rounded(flushes, -127, ONE), (0, flag::UNDERFLOW | precision, false));
    }

    #[test]
    fn x87_wraps_an_exponent_whose_exception_is_not_masked() {
        for (exponent, wrapped, flags) in
            [(17_000, 17_000 - 24_576, flag::OVERFLOW), (-17_000, -17_000 + 24_576, flag::UNDERFLOW)]
        {
            let mut context = Context { masks: 0, ..X87 };
            let exact = Exact { negative: true, exponent, significand: ONE };
            let number = context.round(exact, Format::EXTENDED);
            assert_eq!((number.exponent, context.flags), (wrapped, flags));
        }
    }

    #[test]
    fn all_bits_can_be_dropped() {
        let exact = |significand| Exact { negative: false, exponent: 0, significand };
        for (drop, significand, expected) in [(128, ONE, 0), (128, ONE + 1, 1), (129, u128::MAX, 0)] {
            let cut = SSE.cut(exact(significand), drop);
            assert_eq!((cut.value, cut.inexact, cut.up), (expected, true, expected == 1), "{drop}");
        }
    }
}
