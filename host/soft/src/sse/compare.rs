//! Comparisons of floating-point vectors (Intel SDM volume 1, 10.4.1.3 and 11.4.1.3).

use core::cmp::Ordering;

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, SoftCpu},
    fault::Step,
    flags,
    sse::{
        lanes::{all_ones, lane},
        unit::{Real, Unit},
    },
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Cmpps => |c, op| c.each(op, 4, |unit, a: u32, b| unit.compare(a, b, op.imm)),
        M::Cmpss => |c, op| c.each(op, 1, |unit, a: u32, b| unit.compare(a, b, op.imm)),
        M::Cmppd => |c, op| c.each(op, 2, |unit, a: u64, b| unit.compare(a, b, op.imm)),
        M::Cmpsd => |c, op| c.each(op, 1, |unit, a: u64, b| unit.compare(a, b, op.imm)),
        M::Minps => |c, op| c.each(op, 4, |unit, a: u32, b| unit.choose(a, b, Ordering::Less)),
        M::Minss => |c, op| c.each(op, 1, |unit, a: u32, b| unit.choose(a, b, Ordering::Less)),
        M::Minpd => |c, op| c.each(op, 2, |unit, a: u64, b| unit.choose(a, b, Ordering::Less)),
        M::Minsd => |c, op| c.each(op, 1, |unit, a: u64, b| unit.choose(a, b, Ordering::Less)),
        M::Maxps => |c, op| c.each(op, 4, |unit, a: u32, b| unit.choose(a, b, Ordering::Greater)),
        M::Maxss => |c, op| c.each(op, 1, |unit, a: u32, b| unit.choose(a, b, Ordering::Greater)),
        M::Maxpd => |c, op| c.each(op, 2, |unit, a: u64, b| unit.choose(a, b, Ordering::Greater)),
        M::Maxsd => |c, op| c.each(op, 1, |unit, a: u64, b| unit.choose(a, b, Ordering::Greater)),
        M::Comiss => |c, op| c.compare_scalars::<u32>(op, false),
        M::Comisd => |c, op| c.compare_scalars::<u64>(op, false),
        M::Ucomiss => |c, op| c.compare_scalars::<u32>(op, true),
        M::Ucomisd => |c, op| c.compare_scalars::<u64>(op, true),
        _ => return None,
    })
}

impl Unit {
    /// CMPPS and its like (Intel SDM volume 2A, table 3-1): the predicate is in the low three bits of an immediate value.
    fn compare<R: Real>(&mut self, a: R, b: R, predicate: u64) -> R {
        // Only "less" and "less or equal" and their opposites mind a quiet NaN.
        let quietly = !matches!(predicate & 3, 1 | 2);
        let order = self.order(a, b, quietly);
        let is_met = match predicate & 3 {
            0 => order == Some(Ordering::Equal),
            1 => order == Some(Ordering::Less),
            2 => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            _ => order.is_none(),
        };
        all_ones(is_met != (predicate & 4 != 0))
    }

    fn order<R: Real>(&mut self, a: R, b: R, quietly: bool) -> Option<Ordering> {
        let (a, b) = (self.number(a), self.number(b));
        self.context.compare(a, b, quietly)
    }

    /// MINPS, MAXPS and their like: the first operand if it is less or greater, and otherwise the second one.
    fn choose<R: Real>(&mut self, a: R, b: R, order: Ordering) -> R {
        let is_first = self.order(a, b, false) == Some(order);
        // Denormal operands may be zeros.
        self.lane(self.number(if is_first { a } else { b }))
    }
}

impl SoftCpu {
    /// COMISS, UCOMISS and their like: ZF, PF and CF tell the order.
    fn compare_scalars<R: Real>(&mut self, op: &Op, quietly: bool) -> Step {
        self.begin_sse()?;
        let b = lane::<R>(self.source(op)?, 0);
        let a = lane::<R>(self.xmm(op.insn.op0_register().number()), 0);
        let mut unit = self.unit();
        let order = unit.order(a, b, quietly);
        self.finish(&unit)?;
        self.set_status(status_of(order));
        Ok(())
    }
}

/// Returns the flags that tell an order (Intel SDM volume 2A, "COMISD").
pub(crate) fn status_of(order: Option<Ordering>) -> u64 {
    match order {
        None => flags::ZF | flags::PF | flags::CF,
        Some(Ordering::Greater) => 0,
        Some(Ordering::Less) => flags::CF,
        Some(Ordering::Equal) => flags::ZF,
    }
}
