//! Integers: conversions to and from them, and numbers without a fraction (Intel SDM volume 1, 4.8.4.2).

use crate::float::{
    context::{Context, Exact, flag},
    number::{Format, Kind, Number},
};

impl Context {
    /// Converts an integer.
    pub(crate) fn convert_from_integer(&mut self, value: i64, format: Format) -> Number {
        match value {
            0 => Number::zero(false),
            _ => {
                let significand = u128::from(value.unsigned_abs());
                self.round(Exact::new(value < 0, 127, significand), format)
            }
        }
    }

    /// Converts to an integer of so many bits, or raises the invalid-operation exception.
    pub(crate) fn convert_to_integer(&mut self, a: Number, bits: u32) -> Option<i64> {
        let limit = 1_u128 << (bits - 1);
        let magnitude = match a.kind {
            Kind::Zero => return Some(0),
            Kind::Normal | Kind::Denormal if a.exponent < 64 => {
                let cut = self.cut(a.into(), self.fraction_bits(a));
                let is_in_range = cut.value < limit + u128::from(a.negative);
                is_in_range.then_some(cut)
            }
            _ => None,
        };
        let Some(cut) = magnitude else {
            self.flags |= flag::INVALID;
            return None;
        };
        self.rounded_up = cut.up;
        if cut.inexact {
            self.flags |= flag::PRECISION;
        }
        let value = cut.value as u64 as i64;
        Some(if a.negative { value.wrapping_neg() } else { value })
    }

    /// The number of bits of an exact significand that are behind the point, or more than it has.
    fn fraction_bits(&self, a: Number) -> u32 {
        (127 - a.exponent).clamp(0, 129).unsigned_abs()
    }

    /// Rounds to a number without a fraction.
    pub(crate) fn round_to_integral(&mut self, a: Number) -> Number {
        if let Some(nan) = self.nan_of(a, a) {
            return nan;
        }
        if a.is_zero() || a.kind == Kind::Infinity || a.exponent >= 63 {
            return a;
        }
        let cut = self.cut(a.into(), self.fraction_bits(a));
        self.rounded_up = cut.up;
        if cut.inexact {
            self.flags |= flag::PRECISION;
        }
        match cut.value {
            0 => Number::zero(a.negative),
            value => {
                let exact = Exact::new(a.negative, 127, value);
                Number::finite(a.negative, exact.exponent, (exact.significand >> 64) as u64)
            }
        }
    }
}
