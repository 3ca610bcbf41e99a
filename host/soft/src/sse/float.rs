//! Arithmetic of floating-point vectors (Intel SDM volume 1, 10.4.1.2, 11.4.1.2, 12.3 and 12.8).

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, SoftCpu},
    fault::Step,
    float::{Context, Format, Kind, Number, Rounding, flag},
    sse::{
        lanes::{build, lane, with_lane},
        unit::{Add, Divide, Multiply, Operation, Real, Subtract, Unit},
    },
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    arithmetic(mnemonic).or_else(|| others(mnemonic))
}

fn arithmetic(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Addps => |c, op| c.each(op, 4, Unit::compute::<Add, u32>),
        M::Addss => |c, op| c.each(op, 1, Unit::compute::<Add, u32>),
        M::Addpd => |c, op| c.each(op, 2, Unit::compute::<Add, u64>),
        M::Addsd => |c, op| c.each(op, 1, Unit::compute::<Add, u64>),
        M::Subps => |c, op| c.each(op, 4, Unit::compute::<Subtract, u32>),
        M::Subss => |c, op| c.each(op, 1, Unit::compute::<Subtract, u32>),
        M::Subpd => |c, op| c.each(op, 2, Unit::compute::<Subtract, u64>),
        M::Subsd => |c, op| c.each(op, 1, Unit::compute::<Subtract, u64>),
        M::Mulps => |c, op| c.each(op, 4, Unit::compute::<Multiply, u32>),
        M::Mulss => |c, op| c.each(op, 1, Unit::compute::<Multiply, u32>),
        M::Mulpd => |c, op| c.each(op, 2, Unit::compute::<Multiply, u64>),
        M::Mulsd => |c, op| c.each(op, 1, Unit::compute::<Multiply, u64>),
        M::Divps => |c, op| c.each(op, 4, Unit::compute::<Divide, u32>),
        M::Divss => |c, op| c.each(op, 1, Unit::compute::<Divide, u32>),
        M::Divpd => |c, op| c.each(op, 2, Unit::compute::<Divide, u64>),
        M::Divsd => |c, op| c.each(op, 1, Unit::compute::<Divide, u64>),
        M::Sqrtps => |c, op| c.each(op, 4, |unit, _, b: u32| unit.square_root(b)),
        M::Sqrtss => |c, op| c.each(op, 1, |unit, _, b: u32| unit.square_root(b)),
        M::Sqrtpd => |c, op| c.each(op, 2, |unit, _, b: u64| unit.square_root(b)),
        M::Sqrtsd => |c, op| c.each(op, 1, |unit, _, b: u64| unit.square_root(b)),
        _ => return None,
    })
}

fn others(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Rcpps => |c, op| c.each(op, 4, |unit, _, b| unit.reciprocal(b)),
        M::Rcpss => |c, op| c.each(op, 1, |unit, _, b| unit.reciprocal(b)),
        M::Rsqrtps => |c, op| c.each(op, 4, |unit, _, b| unit.reciprocal_root(b)),
        M::Rsqrtss => |c, op| c.each(op, 1, |unit, _, b| unit.reciprocal_root(b)),
        M::Roundps => |c, op| c.each(op, 4, |unit, _, b: u32| unit.round(b, op.imm)),
        M::Roundss => |c, op| c.each(op, 1, |unit, _, b: u32| unit.round(b, op.imm)),
        M::Roundpd => |c, op| c.each(op, 2, |unit, _, b: u64| unit.round(b, op.imm)),
        M::Roundsd => |c, op| c.each(op, 1, |unit, _, b: u64| unit.round(b, op.imm)),
        M::Addsubps => SoftCpu::alternate::<u32>,
        M::Addsubpd => SoftCpu::alternate::<u64>,
        M::Haddps => SoftCpu::pairs::<Add, u32>,
        M::Haddpd => SoftCpu::pairs::<Add, u64>,
        M::Hsubps => SoftCpu::pairs::<Subtract, u32>,
        M::Hsubpd => SoftCpu::pairs::<Subtract, u64>,
        M::Dpps => SoftCpu::dot_product::<u32>,
        M::Dppd => SoftCpu::dot_product::<u64>,
        _ => return None,
    })
}

impl SoftCpu {
    /// Computes the lowest lanes of two vectors. The other lanes of the first one stay.
    #[inline]
    pub(super) fn each<R: Real>(&mut self, op: &Op, count: u32, f: impl Fn(&mut Unit, R, R) -> R) -> Step {
        self.vectors(op, |unit, a, b| {
            (0..count).fold(a, |all, index| with_lane(all, index, f(unit, lane(a, index), lane(b, index))))
        })
    }

    /// Computes a vector from two, and raises what the operations have raised.
    #[inline]
    pub(super) fn vectors(&mut self, op: &Op, f: impl Fn(&mut Unit, u128, u128) -> u128) -> Step {
        self.begin_sse()?;
        let b = self.source(op)?;
        let register = op.insn.op0_register().number();
        let mut unit = self.unit();
        let result = f(&mut unit, self.xmm(register), b);
        self.finish(&unit)?;
        self.set_xmm(register, result);
        Ok(())
    }

    /// ADDSUBPS and ADDSUBPD: differences in even lanes, sums in odd ones.
    fn alternate<R: Real>(&mut self, op: &Op) -> Step {
        self.vectors(op, |unit, a, b| {
            (0..128 / R::BITS).fold(0, |all, index| {
                let (a, b) = (lane::<R>(a, index), lane(b, index));
                let value = if index % 2 == 0 {
                    unit.compute::<Subtract, R>(a, b)
                } else {
                    unit.compute::<Add, R>(a, b)
                };
                with_lane(all, index, value)
            })
        })
    }

    /// HADDPS and its like: neighbours of the first vector, then of the second one.
    fn pairs<O: Operation, R: Real>(&mut self, op: &Op) -> Step {
        self.vectors(op, |unit, a, b| {
            let count = 128 / R::BITS;
            (0..count).fold(0, |all, index| {
                let from = if index < count / 2 { a } else { b };
                let pair = 2 * index % count;
                let value = unit.compute::<O, R>(lane(from, pair), lane(from, pair + 1));
                with_lane(all, index, value)
            })
        })
    }

    /// DPPS and DPPD: some products are summed up, and some lanes get the sum.
    fn dot_product<R: Real>(&mut self, op: &Op) -> Step {
        let count = 128 / R::BITS;
        let has = |bit: u32| op.imm >> bit & 1 != 0;
        self.vectors(op, |unit, a, b| {
            let product = |unit: &mut Unit, index| match has(4 + index) {
                true => unit.compute::<Multiply, R>(lane(a, index), lane(b, index)),
                false => R::low(0),
            };
            let mut sums = unit.stage(count, product);
            // Each lane is added to its neighbour, and then to that of the other half. The order decides which NaN stays.
            let mut distance = 1;
            while distance < count && !unit.context.has_unmasked(flag::ALL) {
                let flip = if 2 * distance < count { distance } else { 0 };
                let sum = |unit: &mut Unit, index: u32| {
                    let index = index ^ flip;
                    unit.compute::<Add, R>(lane(sums, index), lane(sums, index ^ distance))
                };
                sums = unit.stage(count, sum);
                distance *= 2;
            }
            build(count, |index| if has(index) { lane(sums, index) } else { R::low(0) })
        })
    }
}

/// The approximations have 12 bits, which is more than the manual asks for: CPUs differ in them.
const APPROXIMATE: Format = Format { precision: 12, ..Format::SINGLE };

const ONE: Number = Number { negative: false, kind: Kind::Normal, exponent: 0, significand: 1 << 63 };

impl Unit {
    /// ROUNDPS and its like. The immediate value chooses the rounding mode, and can keep the precision flag as it is.
    fn round<R: Real>(&mut self, a: R, imm: u64) -> R {
        let a = self.number(a);
        let mut context = self.context;
        if imm & 4 == 0 {
            context.rounding = Rounding::new(imm as u32);
        }
        let rounded = context.round_to_integral(a);
        let kept = if imm & 8 == 0 { flag::ALL } else { !flag::PRECISION };
        self.context.flags |= context.flags & kept;
        self.lane(rounded)
    }

    /// RCPPS: about 1/x. It raises no exceptions, and takes and returns zeros for denormal numbers.
    fn reciprocal(&mut self, a: u32) -> u32 {
        let a = Format::SINGLE.decode(a.into()).without_denormals();
        let result = silent().divide(ONE, a, APPROXIMATE);
        self.lane(result)
    }

    /// RSQRTPS: about 1/sqrt(x).
    fn reciprocal_root(&mut self, a: u32) -> u32 {
        let a = Format::SINGLE.decode(a.into()).without_denormals();
        let root = silent().square_root(a, Format::EXTENDED);
        let result = silent().divide(ONE, root, APPROXIMATE);
        self.lane(result)
    }
}

/// The control of operations whose flags are not wanted.
fn silent() -> Context {
    Context {
        rounding: Rounding::Nearest,
        masks: flag::ALL,
        flushes: true,
        is_x87: false,
        flags: 0,
        rounded_up: false,
    }
}
