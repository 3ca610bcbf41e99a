//! Arithmetic with 128 bits, for functions that are computed in many steps.
//!
//! One of a result's last bits is also set if bits below it were lost, so that the final rounding knows on which side the
//! exact value is. Each step is off by a few units in the last place, 2^-127 of the value.

use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::float::{arithmetic::shifted_right, context::Exact};

impl Exact {
    pub(crate) const ONE: Self = Self { negative: false, exponent: 0, significand: 1 << 127 };

    /// Returns an integer that is not zero.
    pub(crate) fn integer(value: i32) -> Self {
        Self::new(value < 0, 127, value.unsigned_abs().into())
    }

    /// Returns the value times a power of two.
    pub(crate) fn scaled(self, power: i32) -> Self {
        Self { exponent: self.exponent + power, ..self }
    }
}

impl Neg for Exact {
    type Output = Self;

    fn neg(self) -> Self {
        Self { negative: !self.negative, ..self }
    }
}

impl Add for Exact {
    type Output = Self;

    /// The sum is not zero: there is no such value.
    fn add(self, other: Self) -> Self {
        let key = |value: Self| (value.exponent, value.significand);
        let (large, small) = if key(self) >= key(other) { (self, other) } else { (other, self) };
        let distance = (large.exponent - small.exponent).unsigned_abs();
        if large.negative != small.negative {
            let difference = large.significand - shifted_right(small.significand, distance);
            debug_assert_ne!(difference, 0, "a difference of equal values");
            return Self::new(large.negative, large.exponent, difference);
        }
        // A bit is left free for the carry.
        let sum = shifted_right(large.significand, 1)
            + shifted_right(small.significand, distance.saturating_add(1));
        Self::new(large.negative, large.exponent + 1, sum)
    }
}

impl Sub for Exact {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Exact {
    type Output = Self;

    /// Multiplies in halves of 64 bits.
    fn mul(self, other: Self) -> Self {
        let halves = |value: Self| (value.significand >> 64, value.significand & u128::from(u64::MAX));
        let ((a, b), (c, d)) = (halves(self), halves(other));
        let (middle, carry) = (a * d).overflowing_add(b * c);
        let (low, carry_low) = (b * d).overflowing_add(middle << 64);
        let high = a * c + (middle >> 64) + (u128::from(carry) << 64) + u128::from(carry_low);
        let exponent = self.exponent + other.exponent + 1;
        // The highest bit can be clear: what follows is in the low half.
        let (high, low, exponent) = match high >> 127 {
            0 => (high << 1 | low >> 127, low << 1, exponent - 1),
            _ => (high, low, exponent),
        };
        Self { negative: self.negative != other.negative, exponent, significand: high | u128::from(low != 0) }
    }
}

impl Div for Exact {
    type Output = Self;

    /// Divides bit by bit.
    fn div(self, other: Self) -> Self {
        let (mut rest, mut quotient, mut carry) = (self.significand, 0, false);
        for _ in 0..128 {
            let fits = carry || rest >= other.significand;
            if fits {
                rest = rest.wrapping_sub(other.significand);
            }
            quotient = quotient << 1 | u128::from(fits);
            carry = rest >> 127 != 0;
            rest <<= 1;
        }
        let negative = self.negative != other.negative;
        Self::new(negative, self.exponent - other.exponent, quotient | u128::from(carry || rest != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: Exact) -> (bool, i32, u128) {
        (value.negative, value.exponent, value.significand)
    }

    #[test]
    fn integers_compute_as_they_should() {
        let n = Exact::integer;
        for (found, expected) in [
            (n(7) + n(9), n(16)),
            (n(7) - n(9), -n(2)),
            (-n(7) - n(9), -n(16)),
            (n(0x7FFF_FFFF) * n(3), n(0x7FFF_FFFF) + n(0x7FFF_FFFF) + n(0x7FFF_FFFF)),
            (-n(91) / n(7), -n(13)),
            (n(5).scaled(-1), n(5) / n(2)),
        ] {
            assert_eq!(parts(found), parts(expected));
        }
    }

    #[test]
    fn a_low_bit_stands_for_all_that_are_lost() {
        let tiny = Exact::ONE.scaled(-500);
        assert_eq!(parts(Exact::ONE + tiny), (false, 0, 1 << 127 | 2));
        assert_eq!(parts(Exact::ONE - tiny), (false, -1, u128::MAX - 1));
        assert_eq!(
            parts(Exact::ONE / Exact::integer(3)),
            (false, -2, 0xAAAA_AAAA_AAAA_AAAA_AAAA_AAAA_AAAA_AAAA)
        );
        let all = Exact { significand: u128::MAX, ..Exact::ONE };
        // (2^128 - 1)^2 = 2^256 - 2^129 + 1.
        assert_eq!(parts(all * all), (false, 1, u128::MAX));
    }
}
