//! Remainders, and parts of a number: exponent and significand (Intel SDM volume 1, 8.3.5).

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, SoftCpu},
    fault::Step,
    float::{Context, Exact, Format, Kind, Number, Rounding, flag},
    x87::stack::status::{C0, C1, C2, C3},
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Fprem => |c, op| c.fprem(op, false),
        M::Fprem1 => |c, op| c.fprem(op, true),
        M::Fscale => SoftCpu::fscale,
        M::Fxtract => SoftCpu::fxtract,
        _ => return None,
    })
}

/// A remainder, and the low bits of the quotient. Nothing in place of these means that the remainder is a partial one.
struct Remainder {
    number: Number,
    quotient: Option<u64>,
}

impl SoftCpu {
    /// FPREM and FPREM1: the remainder of ST0 and ST1, or a step towards it.
    fn fprem(&mut self, op: &Op, to_nearest: bool) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        // Whatever happens, there is nothing left to do.
        self.state.fpu.status &= !C2;
        if self.is_empty(0) || self.is_empty(1) {
            if self.stack_fault(op, false) {
                self.set_st(0, Number::INDEFINITE);
            }
            return Ok(());
        }
        let mut context = self.context();
        let Remainder { number, quotient } = remainder(&mut context, self.st(0), self.st(1), to_nearest);
        context.rounded_up = false;
        self.finish_x87(op, &context);
        if context.has_unmasked(flag::BEFORE) {
            return Ok(());
        }
        if number.is_nan() {
            self.set_st(0, number);
            return Ok(());
        }
        let bit = |shift: u32, code: u16| if quotient.unwrap_or(0) >> shift & 1 != 0 { code } else { 0 };
        let codes = bit(2, C0) | bit(1, C3) | bit(0, C1) | if quotient.is_none() { C2 } else { 0 };
        self.state.fpu.status = self.state.fpu.status & !(C3 | C2 | C1 | C0) | codes;
        self.set_st(0, number);
        Ok(())
    }

    /// FSCALE: ST0 times two to the power of ST1, which is cut to an integer.
    fn fscale(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        if self.is_empty(0) || self.is_empty(1) {
            if self.stack_fault(op, false) {
                self.set_st(0, Number::INDEFINITE);
            }
            return Ok(());
        }
        let mut context = self.context();
        let result = scale(&mut context, self.st(0), self.st(1));
        self.finish_x87(op, &context);
        if !context.has_unmasked(flag::BEFORE) {
            self.set_st(0, result);
        }
        Ok(())
    }

    /// FXTRACT: ST0 becomes its exponent, and its significand is pushed.
    fn fxtract(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        let is_empty = self.is_empty(0);
        if is_empty || !self.is_empty(7) {
            if self.stack_fault(op, !is_empty) {
                self.set_st(0, Number::INDEFINITE);
                self.push_over(Number::INDEFINITE.to_extended());
            }
            return Ok(());
        }
        let mut context = self.context();
        let (exponent, significand) = extract(&mut context, self.st(0));
        self.finish_x87(op, &context);
        if !context.has_unmasked(flag::BEFORE) {
            self.set_st(0, exponent);
            self.push_st(op, significand.to_extended());
        }
        Ok(())
    }
}

fn remainder(context: &mut Context, a: Number, b: Number, to_nearest: bool) -> Remainder {
    let whole = |number| Remainder { number, quotient: Some(0) };
    if let Some(nan) = context.nan_of(a, b) {
        return whole(nan);
    }
    if a.kind == Kind::Infinity || b.is_zero() {
        return whole(context.invalid());
    }
    context.note_denormals(a, b);
    if a.is_zero() {
        return whole(a);
    }
    if b.kind == Kind::Infinity {
        return whole(context.round(a.into(), Format::EXTENDED));
    }
    let distance = a.exponent - b.exponent;
    match distance {
        ..-1 => whole(context.round(a.into(), Format::EXTENDED)),
        64.. => partial_remainder(context, a, b, distance),
        _ => last_remainder(context, a, b, distance, to_nearest),
    }
}

/// Returns a number of the exponent of `b`'s last bit, or zero with the sign of `a`.
fn rest_of(context: &mut Context, negative: bool, rest: u128, exponent: i32) -> Number {
    match rest {
        0 => Number::zero(negative),
        _ => context.round(Exact::new(negative, exponent - 63 + 127, rest), Format::EXTENDED),
    }
}

/// Reduces the exponent by 32 to 63: as much as the manual allows at most, but so that a multiple of 32 is left.
fn partial_remainder(context: &mut Context, a: Number, b: Number, distance: i32) -> Remainder {
    let step = distance % 32 + 32;
    let dividend = u128::from(a.significand) << step;
    let rest = dividend % u128::from(b.significand);
    Remainder { number: rest_of(context, a.negative, rest, a.exponent - step), quotient: None }
}

/// Computes the remainder of numbers whose exponents differ by -1 to 63.
fn last_remainder(context: &mut Context, a: Number, b: Number, distance: i32, to_nearest: bool) -> Remainder {
    // With half the divisor as the unit, a smaller dividend is an integer, too.
    let dividend = u128::from(a.significand) << (distance + 1);
    let divisor = u128::from(b.significand) << 1;
    let (mut quotient, mut rest) = ((dividend / divisor) as u64, dividend % divisor);
    let mut negative = a.negative;
    let is_above_half = 2 * rest > divisor || 2 * rest == divisor && quotient & 1 != 0;
    if to_nearest && is_above_half {
        quotient = quotient.wrapping_add(1);
        rest = divisor - rest;
        negative = !negative;
    }
    if rest == 0 {
        negative = a.negative;
    }
    Remainder { number: rest_of(context, negative, rest, b.exponent - 1), quotient: Some(quotient) }
}

fn scale(context: &mut Context, a: Number, b: Number) -> Number {
    if let Some(nan) = context.nan_of(a, b) {
        return nan;
    }
    match (a.kind, b.kind, b.negative) {
        (Kind::Infinity, Kind::Infinity, true) | (Kind::Zero, Kind::Infinity, false) => {
            return context.invalid();
        }
        _ => context.note_denormals(a, b),
    }
    match b.kind {
        Kind::Infinity if b.negative => return Number::zero(a.negative),
        Kind::Infinity => return Number::infinity(a.negative),
        _ if a.is_zero() || a.kind == Kind::Infinity || b.is_zero() => return a,
        _ => {}
    }
    // No exponent needs more than these bits.
    let mut integers = Context { rounding: Rounding::Zero, ..*context };
    let most = if b.negative { -0x1_0000 } else { 0x1_0000 };
    let power = integers.convert_to_integer(b, 18).map_or(most, |power| power as i32);
    let result = context.round(Exact { exponent: a.exponent + power, ..a.into() }, Format::EXTENDED);
    // An exponent can be too large or too small even when it is wrapped (Intel SDM volume 1, 8.5.4 and 8.5.5).
    let beyond = match result.kind {
        Kind::Normal if result.exponent > Format::EXTENDED.max_exponent => Number::infinity(a.negative),
        Kind::Normal if result.exponent < Format::EXTENDED.min_exponent() - 63 => Number::zero(a.negative),
        _ => return result,
    };
    context.flags |= flag::PRECISION;
    context.rounded_up = beyond.kind == Kind::Infinity;
    beyond
}

fn extract(context: &mut Context, a: Number) -> (Number, Number) {
    if let Some(nan) = context.nan_of(a, a) {
        return (nan, nan);
    }
    if a.kind == Kind::Infinity {
        return (Number::infinity(false), a);
    }
    if a.is_zero() {
        context.flags |= flag::ZERO_DIVIDE;
        return (Number::infinity(true), a);
    }
    context.note_denormals(a, a);
    let exponent = context.convert_from_integer(a.exponent.into(), Format::EXTENDED);
    (exponent, Number::finite(a.negative, 0, a.significand))
}
