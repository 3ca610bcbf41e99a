//! Sums, products, quotients, square roots, comparisons and conversions (Intel SDM volume 1, 4.8.3 and 4.9).

use core::cmp::Ordering;

use crate::float::{
    context::{Context, Exact, Rounding, flag},
    number::{Format, Kind, Number},
};

impl Context {
    /// Returns the NaN that an operation on these operands returns, if one of them is a NaN (Intel SDM volume 1,
    /// table 4-7).
    pub(crate) fn nan_of(&mut self, a: Number, b: Number) -> Option<Number> {
        let is = |kind| a.kind == kind || b.kind == kind;
        if is(Kind::Unsupported) {
            return Some(self.invalid());
        }
        if is(Kind::Signaling) {
            self.flags |= flag::INVALID;
        }
        let chosen = match (a.is_nan(), b.is_nan()) {
            (false, false) => return None,
            (true, false) => a,
            (false, true) => b,
            (true, true) if self.is_x87 => larger_nan(a, b),
            (true, true) => a,
        };
        Some(chosen.quieted())
    }

    pub(crate) fn add(&mut self, a: Number, b: Number, format: Format) -> Number {
        if let Some(nan) = self.nan_of(a, b) {
            return nan;
        }
        if a.kind == Kind::Infinity && b.kind == Kind::Infinity && a.negative != b.negative {
            return self.invalid();
        }
        self.note_denormals(a, b);
        match (a.kind, b.kind) {
            (Kind::Infinity, _) => a,
            (_, Kind::Infinity) => b,
            (Kind::Zero, Kind::Zero) if a.negative == b.negative => a,
            (Kind::Zero, Kind::Zero) => self.cancelled(),
            (Kind::Zero, _) => self.round(b.into(), format),
            (_, Kind::Zero) => self.round(a.into(), format),
            _ => self.add_finite(a, b, format),
        }
    }

    pub(crate) fn subtract(&mut self, a: Number, b: Number, format: Format) -> Number {
        // A NaN keeps its sign.
        self.add(a, if b.is_nan() { b } else { b.negated() }, format)
    }

    /// Returns the zero that a difference of equal numbers is.
    fn cancelled(&self) -> Number {
        Number::zero(self.rounding == Rounding::Down)
    }

    fn add_finite(&mut self, a: Number, b: Number, format: Format) -> Number {
        let key = |number: Number| (number.exponent, number.significand);
        let (large, small) = if key(a) >= key(b) { (a, b) } else { (b, a) };
        // A bit is left free for the carry.
        let wide = |number: Number| u128::from(number.significand) << 63;
        let distance = (large.exponent - small.exponent).unsigned_abs();
        let (base, other) = (wide(large), shifted_right(wide(small), distance));
        let sum = if a.negative == b.negative { base + other } else { base - other };
        match sum {
            0 => self.cancelled(),
            _ => self.round(Exact::new(large.negative, large.exponent + 1, sum), format),
        }
    }

    pub(crate) fn multiply(&mut self, a: Number, b: Number, format: Format) -> Number {
        if let Some(nan) = self.nan_of(a, b) {
            return nan;
        }
        let negative = a.negative != b.negative;
        let is = |kind| a.kind == kind || b.kind == kind;
        if is(Kind::Infinity) && is(Kind::Zero) {
            return self.invalid();
        }
        self.note_denormals(a, b);
        if is(Kind::Infinity) {
            return Number::infinity(negative);
        }
        if is(Kind::Zero) {
            return Number::zero(negative);
        }
        let product = u128::from(a.significand) * u128::from(b.significand);
        self.round(Exact::new(negative, a.exponent + b.exponent + 1, product), format)
    }

    pub(crate) fn divide(&mut self, a: Number, b: Number, format: Format) -> Number {
        if let Some(nan) = self.nan_of(a, b) {
            return nan;
        }
        let negative = a.negative != b.negative;
        match (a.kind, b.kind) {
            (Kind::Infinity, Kind::Infinity) | (Kind::Zero, Kind::Zero) => return self.invalid(),
            (Kind::Normal | Kind::Denormal, Kind::Zero) => {
                self.flags |= flag::ZERO_DIVIDE;
                return Number::infinity(negative);
            }
            _ => self.note_denormals(a, b),
        }
        match (a.kind, b.kind) {
            (Kind::Infinity, _) => Number::infinity(negative),
            (_, Kind::Infinity) | (Kind::Zero, _) => Number::zero(negative),
            _ => self.divide_finite(negative, a, b, format),
        }
    }

    /// Divides in two steps of 64 bits each.
    fn divide_finite(&mut self, negative: bool, a: Number, b: Number, format: Format) -> Number {
        let divisor = u128::from(b.significand);
        let dividend = u128::from(a.significand) << 63;
        let (high, rest) = (dividend / divisor, (dividend % divisor) << 64);
        let (low, rest) = (rest / divisor, rest % divisor);
        let quotient = high << 64 | low | u128::from(rest != 0);
        self.round(Exact::new(negative, a.exponent - b.exponent, quotient), format)
    }

    pub(crate) fn square_root(&mut self, a: Number, format: Format) -> Number {
        if let Some(nan) = self.nan_of(a, a) {
            return nan;
        }
        if a.is_zero() {
            return a;
        }
        if a.negative {
            return self.invalid();
        }
        self.note_denormals(a, a);
        if a.kind == Kind::Infinity {
            return a;
        }
        // An even exponent is halved.
        let is_odd = a.exponent.rem_euclid(2);
        let square = u128::from(a.significand) << (63 + is_odd);
        let root = square.isqrt();
        let rest = square - root * root;
        // The bit behind the root is 1 if (root + 1/2)^2 is not above the square.
        let half = u128::from(rest > root);
        let significand = root << 64 | half << 63 | u128::from(rest != 0);
        self.round(Exact::new(false, (a.exponent - is_odd) / 2, significand), format)
    }

    /// Compares two numbers. Nothing means that they are unordered, which a quiet NaN may cause.
    pub(crate) fn compare(&mut self, a: Number, b: Number, quietly: bool) -> Option<Ordering> {
        if self.nan_of(a, b).is_some() {
            if !quietly {
                self.flags |= flag::INVALID;
            }
            return None;
        }
        self.note_denormals(a, b);
        Some(order(a, b))
    }

    /// Converts a number to another format.
    pub(crate) fn convert(&mut self, a: Number, format: Format) -> Number {
        if let Some(nan) = self.nan_of(a, a) {
            return nan;
        }
        self.note_denormals(a, a);
        match a.kind {
            Kind::Zero | Kind::Infinity => a,
            _ => self.round(a.into(), format),
        }
    }
}

/// Returns the order of two numbers that are not NaNs.
pub(crate) fn order(a: Number, b: Number) -> Ordering {
    if a.is_zero() && b.is_zero() {
        return Ordering::Equal;
    }
    let magnitude = |number: Number| {
        let exponent = match number.kind {
            Kind::Zero => i32::MIN,
            Kind::Infinity => i32::MAX,
            _ => number.exponent,
        };
        (exponent, number.significand)
    };
    match (a.negative, b.negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => magnitude(a).cmp(&magnitude(b)),
        (true, true) => magnitude(b).cmp(&magnitude(a)),
    }
}

/// Returns the NaN of two that x87 takes: a quiet one, the larger one, or the positive one (Intel SDM volume 1,
/// table 4-7).
fn larger_nan(a: Number, b: Number) -> Number {
    match (a.kind, b.kind) {
        (Kind::Signaling, Kind::Quiet) => return b,
        (Kind::Quiet, Kind::Signaling) => return a,
        _ => {}
    }
    match a.significand.cmp(&b.significand) {
        Ordering::Greater => a,
        Ordering::Less => b,
        Ordering::Equal => {
            if a.negative {
                b
            } else {
                a
            }
        }
    }
}

/// Shifts right. Bit 0 is set if one of the lost bits was.
pub(crate) fn shifted_right(value: u128, distance: u32) -> u128 {
    match distance {
        0 => value,
        1..=127 => value >> distance | u128::from(value << (128 - distance) != 0),
        _ => u128::from(value != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float::context::tests::{SSE, X87};

    fn nan(negative: bool, payload: u64) -> Number {
        Format::DOUBLE.decode(u64::from(negative) << 63 | 0x7FF0 << 48 | payload)
    }

    /// The sum's bits.
    fn sum(context: Context, a: Number, b: Number) -> (u64, u8) {
        let mut context = context;
        let result = context.add(a, b, Format::DOUBLE);
        (Format::DOUBLE.encode(result), context.flags)
    }

    #[test]
    fn a_nan_is_chosen_by_the_rules_of_the_unit() {
        const QUIET: u64 = 0x7FF8 << 48;
        let (one, small, large) = (Format::DOUBLE.decode(1.0_f64.to_bits()), nan(false, 3), nan(true, 5));
        let (quiet_small, quiet_large) = (small.quieted(), large.quieted());
        let negative = 1 << 63;
        // Intel SDM volume 1, table 4-7, row by row.
        assert_eq!(sum(X87, small, quiet_large), (negative | QUIET | 5, flag::INVALID), "the quiet one");
        assert_eq!(sum(SSE, small, quiet_large), (QUIET | 3, flag::INVALID), "the first one");
        assert_eq!(sum(X87, small, large), (negative | QUIET | 5, flag::INVALID), "the larger one");
        assert_eq!(sum(SSE, small, large), (QUIET | 3, flag::INVALID));
        assert_eq!(sum(X87, quiet_small, quiet_large), (negative | QUIET | 5, 0));
        assert_eq!(sum(SSE, quiet_small, quiet_large), (QUIET | 3, 0));
        for context in [X87, SSE] {
            assert_eq!(sum(context, one, small), (QUIET | 3, flag::INVALID));
            assert_eq!(sum(context, quiet_small, one), (QUIET | 3, 0));
        }
        // Of equal ones x87 takes the positive one.
        assert_eq!(sum(X87, nan(true, 3).quieted(), quiet_small), (QUIET | 3, 0));
    }

    #[test]
    fn operations_without_a_result_return_the_indefinite_one() {
        let infinity = Number::infinity(false);
        let zero = Number::zero(false);
        let one = Number::finite(false, 0, 1 << 63);
        type Operation = fn(&mut Context, Number, Number, Format) -> Number;
        let invalid: [(Operation, Number, Number); 6] = [
            (Context::subtract, infinity, infinity),
            (Context::add, infinity, infinity.negated()),
            (Context::multiply, infinity, zero),
            (Context::divide, zero, zero),
            (Context::divide, infinity, infinity.negated()),
            (|context, a, _, format| context.square_root(a, format), one.negated(), one),
        ];
        for (operation, a, b) in invalid {
            let mut context = SSE;
            assert_eq!(operation(&mut context, a, b, Format::SINGLE), Number::INDEFINITE);
            assert_eq!(context.flags, flag::INVALID);
        }
        let mut context = SSE;
        assert_eq!(context.divide(one, zero.negated(), Format::SINGLE), Number::infinity(true));
        assert_eq!(context.flags, flag::ZERO_DIVIDE);
    }

    #[test]
    fn the_host_has_the_same_results() {
        let values = [0.0, 1.0, -1.5, 3.0, 1e-3, 0.1, 7e300, -2e-300, 1e17, 12345.678, f64::MAX, 4e-308];
        for a in values {
            for b in values {
                let (x, y) = (Format::DOUBLE.decode(a.to_bits()), Format::DOUBLE.decode(b.to_bits()));
                let mut context = SSE;
                let check = |number: Number, expected: f64| {
                    let found = f64::from_bits(Format::DOUBLE.encode(number));
                    assert!(found == expected || found.is_nan() && expected.is_nan(), "{a} and {b}: {found}");
                };
                check(context.add(x, y, Format::DOUBLE), a + b);
                check(context.subtract(x, y, Format::DOUBLE), a - b);
                check(context.multiply(x, y, Format::DOUBLE), a * b);
                check(context.divide(x, y, Format::DOUBLE), a / b);
                assert_eq!(context.compare(x, y, true), a.partial_cmp(&b), "{a} and {b}");
            }
        }
    }

    #[test]
    fn square_roots_are_exact_where_they_can_be() {
        for root in [1.0_f64, 1.5, 3.0, 1e10, 0.125, 94_906_265.0] {
            let mut context = SSE;
            let square = Format::DOUBLE.decode((root * root).to_bits());
            let found = context.square_root(square, Format::DOUBLE);
            assert_eq!(f64::from_bits(Format::DOUBLE.encode(found)), root);
            assert_eq!(context.flags, 0);
        }
        let mut context = SSE;
        let two = Format::DOUBLE.decode(2.0_f64.to_bits());
        let found = context.square_root(two, Format::DOUBLE);
        assert_eq!(f64::from_bits(Format::DOUBLE.encode(found)), core::f64::consts::SQRT_2);
        assert_eq!(context.flags, flag::PRECISION);
    }
}
