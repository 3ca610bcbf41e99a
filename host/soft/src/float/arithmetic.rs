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
