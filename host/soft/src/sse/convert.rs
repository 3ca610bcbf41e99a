//! Conversions between integers and floating-point numbers (Intel SDM volume 1, 10.4.3 and 11.4.1.6).

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, SoftCpu},
    fault::Step,
    float::Rounding,
    operand::sign_extended,
    sse::{
        lanes::{Lane, lane, with_lane},
        unit::{Real, Unit},
    },
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Cvtps2pd => |c, op| c.convert(op, 2, Unit::change::<u32, u64>),
        M::Cvtpd2ps => |c, op| c.convert(op, 2, Unit::change::<u64, u32>),
        M::Cvtss2sd => |c, op| c.convert_scalar(op, Unit::change::<u32, u64>),
        M::Cvtsd2ss => |c, op| c.convert_scalar(op, Unit::change::<u64, u32>),
        M::Cvtdq2ps => |c, op| c.convert(op, 4, Unit::convert_from_dword::<u32>),
        M::Cvtdq2pd => |c, op| c.convert(op, 2, Unit::convert_from_dword::<u64>),
        M::Cvtps2dq => |c, op| c.convert(op, 4, Unit::convert_to_dword::<u32>),
        M::Cvtpd2dq => |c, op| c.convert(op, 2, Unit::convert_to_dword::<u64>),
        M::Cvttps2dq => |c, op| c.convert(op, 4, Unit::truncate_to_dword::<u32>),
        M::Cvttpd2dq => |c, op| c.convert(op, 2, Unit::truncate_to_dword::<u64>),
        M::Cvtpi2ps => |c, op| c.convert_mmx(op, Unit::convert_from_dword::<u32>),
        M::Cvtpi2pd => |c, op| c.convert_mmx(op, Unit::convert_from_dword::<u64>),
        M::Cvtps2pi => |c, op| c.convert_mmx(op, Unit::convert_to_dword::<u32>),
        M::Cvtpd2pi => |c, op| c.convert_mmx(op, Unit::convert_to_dword::<u64>),
        M::Cvttps2pi => |c, op| c.convert_mmx(op, Unit::truncate_to_dword::<u32>),
        M::Cvttpd2pi => |c, op| c.convert_mmx(op, Unit::truncate_to_dword::<u64>),
        M::Cvtsi2ss => SoftCpu::convert_from_general::<u32>,
        M::Cvtsi2sd => SoftCpu::convert_from_general::<u64>,
        M::Cvtss2si => |c, op| c.convert_to_general::<u32>(op, None),
        M::Cvtsd2si => |c, op| c.convert_to_general::<u64>(op, None),
        M::Cvttss2si => |c, op| c.convert_to_general::<u32>(op, Some(Rounding::Zero)),
        M::Cvttsd2si => |c, op| c.convert_to_general::<u64>(op, Some(Rounding::Zero)),
        _ => return None,
    })
}

impl Unit {
    /// Converts to the other format.
    fn change<From: Real, To: Real>(&mut self, a: From) -> To {
        let a = self.number(a);
        let converted = self.context.convert(a, To::FORMAT);
        self.lane(converted)
    }

    fn convert_from_dword<R: Real>(&mut self, value: i32) -> R {
        let converted = self.context.convert_from_integer(value.into(), R::FORMAT);
        self.lane(converted)
    }

    fn convert_to_dword<R: Real>(&mut self, a: R) -> i32 {
        let a = self.number(a);
        // The integer indefinite stands for all that does not fit.
        self.context.convert_to_integer(a, 32).map_or(i32::MIN, |value| value as i32)
    }

    fn truncate_to_dword<R: Real>(&mut self, a: R) -> i32 {
        let rounding = core::mem::replace(&mut self.context.rounding, Rounding::Zero);
        let value = self.convert_to_dword(a);
        self.context.rounding = rounding;
        value
    }
}

/// Converts the lowest lanes. The lanes above them are 0.
fn converted<From: Lane, To: Lane>(
    unit: &mut Unit,
    from: u128,
    count: u32,
    f: impl Fn(&mut Unit, From) -> To,
) -> u128 {
    (0..count).fold(0, |all, index| with_lane(all, index, f(unit, lane(from, index))))
}

impl SoftCpu {
    fn convert<From: Lane, To: Lane>(
        &mut self,
        op: &Op,
        count: u32,
        f: impl Fn(&mut Unit, From) -> To,
    ) -> Step {
        self.vectors(op, |unit, _, b| converted(unit, b, count, &f))
    }

    fn convert_scalar<From: Lane, To: Lane>(&mut self, op: &Op, f: impl Fn(&mut Unit, From) -> To) -> Step {
        self.vectors(op, |unit, a, b| with_lane(a, 0, f(unit, lane(b, 0))))
    }

    /// Converts two lanes from or to an MMX register.
    fn convert_mmx<From: Lane, To: Lane>(&mut self, op: &Op, f: impl Fn(&mut Unit, From) -> To) -> Step {
        self.begin_sse()?;
        self.begin(op)?;
        let from = self.source(op)?;
        let mut unit = self.unit();
        let result = converted(&mut unit, from, 2, f);
        // Even if the instruction then raises an exception.
        self.enter_mmx_for(op);
        self.finish(&unit)?;
        let to = op.insn.op0_register();
        // Two single-precision lanes leave the upper half of an XMM register as it is.
        let upper = if to.is_xmm() && To::BITS == 32 { self.xmm(to.number()) >> 64 << 64 } else { 0 };
        self.set_vector(to, upper | result);
        Ok(())
    }

    fn convert_from_general<R: Real>(&mut self, op: &Op) -> Step {
        self.begin_sse()?;
        let value = self.get(op, op.from, op.from_size)?;
        let mut unit = self.unit();
        let number =
            unit.context.convert_from_integer(sign_extended(value, op.from_size).cast_signed(), R::FORMAT);
        self.finish(&unit)?;
        let register = op.insn.op0_register().number();
        self.set_xmm(register, with_lane(self.xmm(register), 0, unit.lane::<R>(number)));
        Ok(())
    }

    fn convert_to_general<R: Real>(&mut self, op: &Op, rounding: Option<Rounding>) -> Step {
        self.begin_sse()?;
        let from = self.source(op)?;
        let mut unit = self.unit();
        unit.context.rounding = rounding.unwrap_or(unit.context.rounding);
        let number = unit.number(lane::<R>(from, 0));
        let bits = 8 * u32::from(op.size);
        let value = unit.context.convert_to_integer(number, bits);
        self.finish(&unit)?;
        let indefinite = 1 << (bits - 1);
        self.put(op, op.to, op.size, value.map_or(indefinite, i64::cast_unsigned))
    }
}
