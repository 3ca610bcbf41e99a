//! Transcendental functions (Intel SDM volume 1, 8.3.7 to 8.3.10).
//!
//! The manual asks for an error below one unit in the last of 64 places. Here a series is summed with 128 bits, and the sum
//! is rounded once: it is off by a few units in the last of 128 places, so that the result is the correctly rounded one
//! except in about one of 2^55 cases.

use crate::float::{
    context::{Context, Exact, flag},
    number::{Format, Kind, Number},
};

/// Pi with 128 bits.
const PI: Exact =
    Exact { negative: false, exponent: 1, significand: 0xC90F_DAA2_2168_C234_C4C6_628B_80DC_1CD1 };
/// The natural logarithm of 2.
const LN_2: Exact =
    Exact { negative: false, exponent: -1, significand: 0xB172_17F7_D1CF_79AB_C9E3_B398_03F2_F6AF };
/// Half of pi in units of [`UNIT`], for the reduction of angles. The manual has pi with 66 bits there, and so has every x87
/// since the 387: programs depend on it (Intel SDM volume 1, 8.3.8).
const HALF_PI: u128 = 0x3_243F_6A88_85A3_08D3;
/// The exponent of the unit in which both half of pi and every angle from 1/4 on are integers.
const UNIT: i32 = -65;

/// An angle between -pi/4 and pi/4, and the number of right angles before it.
struct Reduced {
    rest: Exact,
    quadrant: u128,
}

/// The functions of an angle.
#[derive(Clone, Copy)]
pub(crate) enum Trigonometric {
    Sine,
    Cosine,
    Tangent,
}

impl Number {
    /// Returns true for a number that is no angle for these functions: its size is 2^63 or more.
    pub(crate) fn is_beyond_angles(self) -> bool {
        self.kind == Kind::Normal && self.exponent >= 63
    }
}

impl Context {
    /// Returns a function of an angle that is in range.
    pub(crate) fn trigonometric(&mut self, function: Trigonometric, x: Number) -> Number {
        if let Some(nan) = self.nan_of(x, x) {
            return nan;
        }
        self.note_denormals(x, x);
        let is_even = matches!(function, Trigonometric::Cosine);
        match x.kind {
            Kind::Infinity => return self.invalid(),
            Kind::Zero if is_even => return Number::ONE,
            Kind::Zero => return x,
            _ => {}
        }
        let Reduced { rest, quadrant } = reduced(x);
        let result = match function {
            Trigonometric::Sine => sine_in(quadrant, rest),
            Trigonometric::Cosine => sine_in(quadrant + 1, rest),
            Trigonometric::Tangent => tangent_in(quadrant, rest),
        };
        self.round_inexact(if x.negative && !is_even { -result } else { result })
    }

    /// Returns the angle of the point at `x` and `y` (Intel SDM volume 2A, "FPATAN").
    pub(crate) fn arctangent(&mut self, y: Number, x: Number) -> Number {
        if let Some(nan) = self.nan_of(y, x) {
            return nan;
        }
        self.note_denormals(y, x);
        // Between the point and the nearer half of the horizontal axis.
        let angle = match (y.kind, x.kind) {
            (Kind::Infinity, Kind::Infinity) => Some(PI.scaled(-2)),
            (Kind::Zero, _) | (_, Kind::Infinity) => None,
            (Kind::Infinity, _) | (_, Kind::Zero) => Some(PI.scaled(-1)),
            _ => Some(arctangent_of_ratio(magnitude(y), magnitude(x))),
        };
        let angle = match (angle, x.negative) {
            (None, false) => return Number::zero(y.negative),
            (None, true) => PI,
            (Some(angle), false) => angle,
            (Some(angle), true) => PI - angle,
        };
        self.round_inexact(if y.negative { -angle } else { angle })
    }

    /// Returns 2^x - 1. The manual leaves it undefined where x is not between -1 and 1: it is x, as on Intel's CPUs.
    pub(crate) fn power_less_one(&mut self, x: Number) -> Number {
        if let Some(nan) = self.nan_of(x, x) {
            return nan;
        }
        self.note_denormals(x, x);
        match x.kind {
            Kind::Infinity if x.negative => return Number::ONE.negated(),
            Kind::Infinity | Kind::Zero => return x,
            _ => {}
        }
        self.round_inexact(match x.exponent {
            0.. if x == Number::ONE.negated() => -Exact::ONE.scaled(-1),
            0.. => x.into(),
            _ => exponential_less_one(Exact::from(x) * LN_2),
        })
    }

    /// Returns y times the binary logarithm of x.
    pub(crate) fn logarithm_times(&mut self, y: Number, x: Number) -> Number {
        if let Some(nan) = self.nan_of(y, x) {
            return nan;
        }
        if x.negative && !x.is_zero() {
            return self.invalid();
        }
        // The logarithm where it is a special value, and otherwise 1 with its sign.
        let logarithm = match x.kind {
            Kind::Zero if !y.is_zero() && y.kind != Kind::Infinity => {
                self.flags |= flag::ZERO_DIVIDE;
                return Number::infinity(!y.negative);
            }
            Kind::Zero => Number::infinity(true),
            Kind::Infinity => x,
            _ if x == Number::ONE => Number::zero(false),
            _ => Number { negative: x.exponent < 0, ..Number::ONE },
        };
        self.multiply_by(y, x, logarithm, || Exact::from(y) * binary_logarithm(x.into()))
    }

    /// Returns y times the binary logarithm of 1 + x. The manual leaves it undefined where x is not between
    /// -(1 - sqrt(1/2)) and 1 - sqrt(1/2): from -1 down it is x, as on Intel's CPUs.
    pub(crate) fn logarithm_of_sum_times(&mut self, y: Number, x: Number) -> Number {
        if let Some(nan) = self.nan_of(y, x) {
            return nan;
        }
        let logarithm = match x.kind {
            Kind::Infinity if x.negative => return self.invalid(),
            Kind::Infinity | Kind::Zero => x,
            _ => Number { negative: x.negative, ..Number::ONE },
        };
        let (factor, exact) = (Exact::from(y), Exact::from(x));
        self.multiply_by(y, x, logarithm, || {
            if x.exponent < -1 {
                factor * natural_logarithm_of_ratio(exact, Exact::integer(2) + exact) / LN_2
            } else if x.exponent < 0 || !x.negative {
                factor * binary_logarithm(Exact::ONE + exact)
            } else {
                exact
            }
        })
    }

    /// Multiplies y by a logarithm of x: `product` does unless one of the factors is a special value.
    fn multiply_by(&mut self, y: Number, x: Number, special: Number, product: impl Fn() -> Exact) -> Number {
        let is_special = |factor: Number| factor.is_zero() || factor.kind == Kind::Infinity;
        if is_special(y) || is_special(special) {
            let result = self.multiply(y, special, Format::EXTENDED);
            if self.flags & flag::INVALID == 0 {
                self.note_denormals(x, y);
            }
            return result;
        }
        self.note_denormals(x, y);
        self.round_inexact(product())
    }

    /// Rounds to 64 bits. These functions raise precision, and underflow, for exact results too (Intel SDM volume 1,
    /// 8.5.6).
    fn round_inexact(&mut self, exact: Exact) -> Number {
        let number = self.round(exact, Format::EXTENDED);
        self.flags |= flag::PRECISION;
        if number.is_zero() || number.exponent < Format::EXTENDED.min_exponent() {
            self.flags |= flag::UNDERFLOW;
        }
        number
    }
}

fn magnitude(number: Number) -> Exact {
    Exact { negative: false, ..number.into() }
}

/// Subtracts right angles from the size of an angle that is below 2^63. This is exact, and the rest is never zero: the 66
/// bits of half of pi divide no number of 64 bits.
fn reduced(x: Number) -> Reduced {
    if x.exponent < -2 {
        return Reduced { rest: magnitude(x), quadrant: 0 };
    }
    let units = u128::from(x.significand) << (x.exponent - 63 - UNIT);
    let (quadrant, rest) = (units / HALF_PI, units % HALF_PI);
    let integer = |negative, units| Exact::new(negative, 127 + UNIT, units);
    match rest > HALF_PI / 2 {
        true => Reduced { rest: integer(true, HALF_PI - rest), quadrant: quadrant + 1 },
        false => Reduced { rest: integer(false, rest), quadrant },
    }
}

/// Returns the sine of an angle behind some right angles.
fn sine_in(quadrant: u128, rest: Exact) -> Exact {
    let square = rest * rest;
    // Each term is the one before, times x^2 / (n * (n + 1)), with the other sign.
    let next = |term: Exact, n: i32| -(term * square / Exact::integer(n * (n + 1)));
    let result = match quadrant % 2 {
        0 => series(rest, |term, n| next(term, 2 * n)),
        _ => series(Exact::ONE, |term, n| next(term, 2 * n - 1)),
    };
    if quadrant % 4 >= 2 { -result } else { result }
}

/// Returns the tangent of an angle behind some right angles.
fn tangent_in(quadrant: u128, rest: Exact) -> Exact {
    // Sine and cosine of a tiny angle do not tell that the tangent is above it.
    if quadrant.is_multiple_of(2) && rest.exponent < -60 {
        return rest + rest * rest * rest / Exact::integer(3);
    }
    sine_in(quadrant, rest) / sine_in(quadrant + 1, rest)
}

/// Returns the arctangent of y / x, both positive.
fn arctangent_of_ratio(y: Exact, x: Exact) -> Exact {
    if (y.exponent, y.significand) > (x.exponent, x.significand) {
        return PI.scaled(-1) - arctangent_of_ratio(x, y);
    }
    // Euler's series of t = y / x has positive terms only: t / (1 + t^2) times 2/3 u, 4/5 u, 6/7 u..., with
    // u = t^2 / (1 + t^2), which is at most 1/2.
    let ratio = y / x;
    let square = ratio * ratio;
    let sum = Exact::ONE + square;
    series(ratio / sum, |term, n| term * (square / sum) * Exact::integer(2 * n) / Exact::integer(2 * n + 1))
}

/// Returns e^x - 1 for |x| < 1.
fn exponential_less_one(x: Exact) -> Exact {
    series(x, |term, n| term * x / Exact::integer(n + 1))
}

/// About the square root of 2.
const SQUARE_ROOT: u128 = 0xB504 << 112;

/// Returns the binary logarithm of a positive value that is not 1.
fn binary_logarithm(x: Exact) -> Exact {
    // x is m * 2^exponent, with m between the square roots of 1/2 and 2, about.
    let above = i32::from(x.significand > SQUARE_ROOT);
    let (exponent, m) = (x.exponent + above, Exact { exponent: -above, ..x });
    if x.significand == Exact::ONE.significand {
        return Exact::integer(exponent);
    }
    let fraction = natural_logarithm_of_ratio(m - Exact::ONE, m + Exact::ONE) / LN_2;
    if exponent == 0 { fraction } else { Exact::integer(exponent) + fraction }
}

/// Returns the natural logarithm of (1 + z) / (1 - z), with z = a / b and |z| < 1/3: it is twice the area tangent of z.
fn natural_logarithm_of_ratio(a: Exact, b: Exact) -> Exact {
    let z = a / b;
    let square = z * z;
    let next = |term, n: i32| term * square * Exact::integer(2 * n - 1) / Exact::integer(2 * n + 1);
    series(z, next).scaled(1)
}

/// Sums a term and those that follow, which `next` computes from the one before and its number, up to one that is too small
/// to count. The last bit of the sum tells on which side of it the others are.
fn series(first: Exact, next: impl Fn(Exact, i32) -> Exact) -> Exact {
    let (mut sum, mut term) = (first, first);
    for n in 1.. {
        term = next(term, n);
        sum = sum + term;
        if sum.exponent - term.exponent > 128 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_those_of_their_series() {
        let same =
            |a: Exact, b: Exact| a.exponent == b.exponent && a.significand.abs_diff(b.significand) < 64;
        assert!(same(arctangent_of_ratio(Exact::ONE, Exact::ONE), PI.scaled(-2)));
        assert!(same(natural_logarithm_of_ratio(Exact::ONE, Exact::integer(3)), LN_2));
        // The manual has them as 0.f * 2^2 with f = C90FDAA2 2168C234 C, without the zeros at the end.
        assert_eq!(HALF_PI, 0xC_90FD_AA22_168C_234C >> 2);
    }
}
