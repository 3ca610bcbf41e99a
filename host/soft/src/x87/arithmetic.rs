//! Basic arithmetic, square roots and rounding (Intel SDM volume 1, 8.3.5).

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, Operand, SoftCpu},
    fault::Step,
    float::{Context, Format, Kind, Number, flag},
    x87::stack::Pops,
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Fadd => |c, op| c.operate(op, Pops::None, Context::add),
        M::Faddp => |c, op| c.operate(op, Pops::One, Context::add),
        M::Fiadd => |c, op| c.operate_on_integer(op, Context::add),
        M::Fmul => |c, op| c.operate(op, Pops::None, Context::multiply),
        M::Fmulp => |c, op| c.operate(op, Pops::One, Context::multiply),
        M::Fimul => |c, op| c.operate_on_integer(op, Context::multiply),
        M::Fsub => |c, op| c.operate(op, Pops::None, Context::subtract),
        M::Fsubp => |c, op| c.operate(op, Pops::One, Context::subtract),
        M::Fisub => |c, op| c.operate_on_integer(op, Context::subtract),
        M::Fsubr => |c, op| c.operate(op, Pops::None, |c, a, b, format| c.subtract(b, a, format)),
        M::Fsubrp => |c, op| c.operate(op, Pops::One, |c, a, b, format| c.subtract(b, a, format)),
        M::Fisubr => |c, op| c.operate_on_integer(op, |c, a, b, format| c.subtract(b, a, format)),
        M::Fdiv => |c, op| c.operate(op, Pops::None, Context::divide),
        M::Fdivp => |c, op| c.operate(op, Pops::One, Context::divide),
        M::Fidiv => |c, op| c.operate_on_integer(op, Context::divide),
        M::Fdivr => |c, op| c.operate(op, Pops::None, |c, a, b, format| c.divide(b, a, format)),
        M::Fdivrp => |c, op| c.operate(op, Pops::One, |c, a, b, format| c.divide(b, a, format)),
        M::Fidivr => |c, op| c.operate_on_integer(op, |c, a, b, format| c.divide(b, a, format)),
        M::Fsqrt => |c, op| {
            let format = c.precision();
            c.change_top(op, |context, a| context.square_root(a, format))
        },
        M::Frndint => |c, op| c.change_top(op, round_to_integer),
        _ => return None,
    })
}

/// FRNDINT: a denormal number raises its exception.
fn round_to_integer(context: &mut Context, a: Number) -> Number {
    if a.kind == Kind::Denormal {
        context.flags |= flag::DENORMAL;
    }
    context.round_to_integral(a)
}

impl SoftCpu {
    /// Computes the first operand from two: registers, or ST0 and a number in memory.
    fn operate(
        &mut self,
        op: &Op,
        pops: Pops,
        f: impl Fn(&mut Context, Number, Number, Format) -> Number,
    ) -> Step {
        self.begin_x87()?;
        if op.to == Operand::Memory {
            let (number, _) = self.real_in_memory(op)?;
            self.operate_with(op, number, f);
            return Ok(());
        }
        let format = self.precision();
        let [to, from] = [op.insn.op0_register(), op.insn.op1_register()].map(Self::st_operand);
        self.operate_on_stack(op, to, from, pops, |c, a, b| f(c, a, b, format));
        Ok(())
    }

    /// Computes a register of the stack from it and another one.
    pub(super) fn operate_on_stack(
        &mut self,
        op: &Op,
        to: usize,
        from: usize,
        pops: Pops,
        f: impl Fn(&mut Context, Number, Number) -> Number,
    ) {
        self.start_x87(op);
        if self.is_empty(to) || self.is_empty(from) {
            if self.stack_fault(op, false) {
                self.set_st(to, Number::INDEFINITE);
                self.pop_all(pops);
            }
            return;
        }
        let mut context = self.context();
        let result = f(&mut context, self.st(to), self.st(from));
        self.finish_x87(op, &context);
        if !context.has_unmasked(flag::BEFORE) {
            self.set_st(to, result);
            self.pop_all(pops);
        }
    }

    fn operate_on_integer(
        &mut self,
        op: &Op,
        f: impl Fn(&mut Context, Number, Number, Format) -> Number,
    ) -> Step {
        self.begin_x87()?;
        let number = self.integer_in_memory(op)?;
        self.operate_with(op, number, f);
        Ok(())
    }

    /// Computes ST0 from it and a number.
    fn operate_with(
        &mut self,
        op: &Op,
        number: Number,
        f: impl Fn(&mut Context, Number, Number, Format) -> Number,
    ) {
        let format = self.precision();
        self.change_started(op, |context, a| f(context, a, number, format));
    }

    /// Computes ST0 from itself.
    pub(super) fn change_top(&mut self, op: &Op, f: impl Fn(&mut Context, Number) -> Number) -> Step {
        self.begin_x87()?;
        self.change_started(op, f);
        Ok(())
    }

    fn change_started(&mut self, op: &Op, f: impl Fn(&mut Context, Number) -> Number) {
        self.start_x87(op);
        if self.is_empty(0) {
            if self.stack_fault(op, false) {
                self.set_st(0, Number::INDEFINITE);
            }
            return;
        }
        let mut context = self.context();
        let result = f(&mut context, self.st(0));
        self.finish_x87(op, &context);
        if !context.has_unmasked(flag::BEFORE) {
            self.set_st(0, result);
        }
    }
}
