//! Loads, stores, exchanges and constants (Intel SDM volume 1, 8.3.3 and 8.3.4).

use iced_x86::{Code, Mnemonic as M};

use crate::{
    cpu::{Handler, Op, Operand, SoftCpu},
    fault::Step,
    flags,
    float::{Format, Number, Rounding, flag},
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Fld => SoftCpu::fld,
        M::Fild => SoftCpu::fild,
        M::Fst => |c, op| c.fst(op, false),
        M::Fstp => |c, op| c.fst(op, true),
        M::Fstpnce => SoftCpu::store_unchecked,
        M::Fist => |c, op| c.store_integer(op, None, false),
        M::Fistp => |c, op| c.store_integer(op, None, true),
        M::Fisttp => |c, op| c.store_integer(op, Some(Rounding::Zero), true),
        M::Fxch => SoftCpu::fxch,
        M::Fabs => |c, op| c.change_sign(op, |head| head & 0x7FFF),
        M::Fchs => |c, op| c.change_sign(op, |head| head ^ 0x8000),
        M::Fcmovb => |c, op| c.fcmov(op, flags::CF, true),
        M::Fcmove => |c, op| c.fcmov(op, flags::ZF, true),
        M::Fcmovbe => |c, op| c.fcmov(op, flags::CF | flags::ZF, true),
        M::Fcmovu => |c, op| c.fcmov(op, flags::PF, true),
        M::Fcmovnb => |c, op| c.fcmov(op, flags::CF, false),
        M::Fcmovne => |c, op| c.fcmov(op, flags::ZF, false),
        M::Fcmovnbe => |c, op| c.fcmov(op, flags::CF | flags::ZF, false),
        M::Fcmovnu => |c, op| c.fcmov(op, flags::PF, false),
        M::Fldz => |c, op| c.load_constant(op, |_| Number::zero(false)),
        M::Fld1 => |c, op| c.load_constant(op, |_| Number::finite(false, 0, 1 << 63)),
        // The significands are cut: the next bits decide which one is nearest.
        M::Fldpi => |c, op| c.load_constant(op, |c| c.constant(1, 0xC90F_DAA2_2168_C234, true)),
        M::Fldl2t => |c, op| c.load_constant(op, |c| c.constant(1, 0xD49A_784B_CD1B_8AFE, false)),
        M::Fldl2e => |c, op| c.load_constant(op, |c| c.constant(0, 0xB8AA_3B29_5C17_F0BB, true)),
        M::Fldlg2 => |c, op| c.load_constant(op, |c| c.constant(-2, 0x9A20_9A84_FBCF_F798, true)),
        M::Fldln2 => |c, op| c.load_constant(op, |c| c.constant(-1, 0xB172_17F7_D1CF_79AB, true)),
        _ => return None,
    })
}

impl SoftCpu {
    fn fld(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        if op.to != Operand::Memory {
            return self.fld_register(op);
        }
        if op.insn.code() == Code::Fld_m80fp {
            let bits = self.read_80(op)?;
            self.start_x87(op);
            self.push_st(op, bits);
            return Ok(());
        }
        let (number, _) = self.real_in_memory(op)?;
        self.start_x87(op);
        if !self.is_empty(7) {
            self.push_st(op, (0, 0));
            return Ok(());
        }
        let mut context = self.context();
        let number = context.convert(number, Format::EXTENDED);
        self.finish_x87(op, &context);
        // A denormal number is loaded even if its exception is not masked.
        if !context.has_unmasked(flag::INVALID) {
            self.push_st(op, number.to_extended());
        }
        Ok(())
    }

    fn fld_register(&mut self, op: &Op) -> Step {
        self.start_x87(op);
        let from = Self::st_operand(op.insn.op0_register());
        match self.is_empty(from) {
            false => self.push_st(op, self.st_bits(from)),
            true if self.stack_fault(op, false) => self.push_over(Number::INDEFINITE.to_extended()),
            true => {}
        }
        Ok(())
    }

    /// Reads 80 bits: sign and exponent, and the significand.
    pub(super) fn read_80(&mut self, op: &Op) -> Step<(u16, u64)> {
        let mut bytes = [0; 16];
        self.read_area(op, 8, &mut bytes[..10])?;
        let bits = u128::from_le_bytes(bytes);
        Ok(((bits >> 64) as u16, bits as u64))
    }

    fn fild(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        let number = self.integer_in_memory(op)?;
        self.start_x87(op);
        self.push_st(op, number.to_extended());
        Ok(())
    }

    fn load_constant(&mut self, op: &Op, number: impl Fn(&Self) -> Number) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        self.push_st(op, number(self).to_extended());
        Ok(())
    }

    /// FST and FSTP.
    fn fst(&mut self, op: &Op, pops: bool) -> Step {
        self.begin_x87()?;
        if op.to != Operand::Memory {
            return self.store_register(op, pops);
        }
        match op.insn.code() {
            Code::Fstp_m80fp => self.store_in_memory(op, pops, |cpu, _| {
                let (head, significand) = cpu.st_bits(0);
                Some(u128::from(head) << 64 | u128::from(significand))
            }),
            _ => self.store_in_memory(op, pops, |cpu, context| {
                let format = if op.size == 4 { Format::SINGLE } else { Format::DOUBLE };
                let number = context.convert(cpu.st(0), format);
                // A store raises no exception for a denormal number.
                context.flags &= !flag::DENORMAL;
                if context.has_unmasked(flag::OVERFLOW | flag::UNDERFLOW) {
                    // There is no result that could be inexact.
                    context.flags &= !flag::PRECISION;
                    context.rounded_up = false;
                    return None;
                }
                (!context.has_unmasked(flag::BEFORE)).then(|| format.encode(number).into())
            }),
        }
    }

    fn store_register(&mut self, op: &Op, pops: bool) -> Step {
        self.start_x87(op);
        let to = Self::st_operand(op.insn.op0_register());
        if self.is_empty(0) {
            if !self.stack_fault(op, false) {
                return Ok(());
            }
            self.set_st(to, Number::INDEFINITE);
        } else {
            self.set_st_bits(to, self.st_bits(0));
        }
        if pops {
            self.pop_st();
        }
        Ok(())
    }

    /// FSTPNCE, which no manual names: FSTP without exceptions.
    fn store_unchecked(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        let to = Self::st_operand(op.insn.op0_register());
        if !self.is_empty(0) {
            self.set_st_bits(to, self.st_bits(0));
        }
        self.pop_st();
        Ok(())
    }

    /// Stores what `result` makes of ST0, unless there is none because an exception is not masked. The status changes after
    /// the store, which can raise a page fault.
    pub(super) fn store_in_memory(
        &mut self,
        op: &Op,
        pops: bool,
        result: impl Fn(&Self, &mut crate::float::Context) -> Option<u128>,
    ) -> Step {
        let mut context = self.context();
        let is_empty = self.is_empty(0);
        let is_masked = context.masks & flag::INVALID != 0;
        let value = match is_empty {
            true => is_masked.then(|| indefinite(op)),
            false => result(self, &mut context),
        };
        if let Some(value) = value {
            self.write_area(op, op.size.min(8), &value.to_le_bytes()[..usize::from(op.size)])?;
        }
        self.start_x87(op);
        match is_empty {
            true => drop(self.stack_fault(op, false)),
            false => self.finish_x87(op, &context),
        }
        if pops && value.is_some() {
            self.pop_st();
        }
        Ok(())
    }

    /// FIST, FISTP and FISTTP.
    fn store_integer(&mut self, op: &Op, rounding: Option<Rounding>, pops: bool) -> Step {
        self.begin_x87()?;
        self.store_in_memory(op, pops, |cpu, context| {
            context.rounding = rounding.unwrap_or(context.rounding);
            match context.convert_to_integer(cpu.st(0), 8 * u32::from(op.size)) {
                Some(value) => Some(u128::from(value.cast_unsigned())),
                None if context.has_unmasked(flag::INVALID) => None,
                None => Some(indefinite(op)),
            }
        })
    }

    fn fxch(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        let other = Self::st_operand(op.insn.op1_register());
        let empty = [0, other].map(|index| self.is_empty(index));
        if empty != [false; 2] && !self.stack_fault(op, false) {
            return Ok(());
        }
        let [a, b] = [0, other].map(|index| match self.is_empty(index) {
            true => Number::INDEFINITE.to_extended(),
            false => self.st_bits(index),
        });
        self.set_st_bits(0, b);
        self.set_st_bits(other, a);
        Ok(())
    }

    /// FABS and FCHS: whatever the register's bits are.
    fn change_sign(&mut self, op: &Op, f: impl Fn(u16) -> u16) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        if !self.is_empty(0) {
            let (head, significand) = self.st_bits(0);
            self.set_st_bits(0, (f(head), significand));
        } else if self.stack_fault(op, false) {
            self.set_st(0, Number::INDEFINITE);
        }
        Ok(())
    }

    /// FCMOVcc: a move if one of these flags is set, or none of them.
    fn fcmov(&mut self, op: &Op, flags: u64, wanted: bool) -> Step {
        self.begin_x87()?;
        self.state.fpu.instruction = op.ip;
        let from = Self::st_operand(op.insn.op1_register());
        if self.is_empty(0) || self.is_empty(from) {
            self.start_x87(op);
            if self.stack_fault(op, false) {
                self.set_st(0, Number::INDEFINITE);
            }
        } else if (self.flags.get() & flags != 0) == wanted {
            self.set_st_bits(0, self.st_bits(from));
        }
        Ok(())
    }
}

/// Returns the indefinite value of an instruction's operand in memory (Intel SDM volume 1, table 8-10).
fn indefinite(op: &Op) -> u128 {
    match op.insn.mnemonic() {
        M::Fist | M::Fistp | M::Fisttp => 1 << (8 * u32::from(op.size) - 1),
        M::Fbstp => 0xFFFF_C000_0000_0000_0000,
        _ if op.size == 4 => Format::SINGLE.encode(Number::INDEFINITE).into(),
        _ if op.size == 8 => Format::DOUBLE.encode(Number::INDEFINITE).into(),
        _ => {
            let (head, significand) = Number::INDEFINITE.to_extended();
            u128::from(head) << 64 | u128::from(significand)
        }
    }
}
