//! Packed decimal numbers of 18 digits (Intel SDM volume 1, 4.7).

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, SoftCpu},
    fault::Step,
    float::{Context, Format, Number, flag},
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Fbld => SoftCpu::fbld,
        M::Fbstp => SoftCpu::fbstp,
        _ => return None,
    })
}

/// The first integer that has more than 18 digits.
const LIMIT: u64 = 1_000_000_000_000_000_000;

impl SoftCpu {
    /// FBLD. The result is undefined for digits above 9, which count as they are here.
    fn fbld(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        let (head, digits) = self.read_80(op)?;
        self.start_x87(op);
        let all = u128::from(head & 0xFF) << 64 | u128::from(digits);
        let value = (0..18).rev().fold(0, |value, digit| 10 * value + (all >> (4 * digit) & 0xF) as i64);
        let number = self.context().convert_from_integer(value, Format::EXTENDED);
        self.push_st(op, Number { negative: head >> 15 != 0, ..number }.to_extended());
        Ok(())
    }

    /// FBSTP.
    fn fbstp(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        self.store_in_memory(op, true, |cpu, context| {
            let number = cpu.st(0);
            match to_decimal(context, number) {
                Some(value) => Some(value),
                None if context.has_unmasked(flag::INVALID) => None,
                None => Some(0xFFFF_C000_0000_0000_0000),
            }
        })
    }
}

/// Returns the digits and the sign of a number that is rounded to an integer.
fn to_decimal(context: &mut Context, number: Number) -> Option<u128> {
    let value = context.convert_to_integer(number, 64)?.unsigned_abs();
    if value >= LIMIT {
        (context.flags, context.rounded_up) = (flag::INVALID, false);
        return None;
    }
    let (mut rest, mut digits) = (value, 0);
    for digit in 0..18 {
        digits |= u128::from(rest % 10) << (4 * digit);
        rest /= 10;
    }
    Some(u128::from(number.negative) << 79 | digits)
}
