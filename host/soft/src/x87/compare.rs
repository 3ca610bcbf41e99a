//! Comparisons and classification (Intel SDM volume 1, 8.3.6).

use core::cmp::Ordering;

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, Operand, SoftCpu},
    fault::Step,
    float::{Kind, Number, flag},
    sse::status_of,
    x87::stack::{
        Pops,
        status::{C0, C1, C2, C3},
    },
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Fcom => |c, op| c.fcom(op, Pops::None, false),
        M::Fcomp => |c, op| c.fcom(op, Pops::One, false),
        M::Fcompp => |c, op| c.fcom(op, Pops::Two, false),
        M::Fucom => |c, op| c.fcom(op, Pops::None, true),
        M::Fucomp => |c, op| c.fcom(op, Pops::One, true),
        M::Fucompp => |c, op| c.fcom(op, Pops::Two, true),
        M::Ficom => |c, op| c.ficom(op, Pops::None),
        M::Ficomp => |c, op| c.ficom(op, Pops::One),
        M::Fcomi => |c, op| c.fcomi(op, Pops::None, false),
        M::Fcomip => |c, op| c.fcomi(op, Pops::One, false),
        M::Fucomi => |c, op| c.fcomi(op, Pops::None, true),
        M::Fucomip => |c, op| c.fcomi(op, Pops::One, true),
        M::Ftst => SoftCpu::ftst,
        M::Fxam => SoftCpu::fxam,
        _ => return None,
    })
}

impl SoftCpu {
    /// FCOM and FUCOM, without and with pops. FCOMPP names no register: it compares with ST1.
    fn fcom(&mut self, op: &Op, pops: Pops, quietly: bool) -> Step {
        self.begin_x87()?;
        if op.to == Operand::Memory {
            let (number, _) = self.real_in_memory(op)?;
            self.start_x87(op);
            self.compare_top(op, Some(number), pops, quietly);
            return Ok(());
        }
        self.start_x87(op);
        let other = match pops {
            Pops::Two => 1,
            _ => Self::st_operand(op.insn.op1_register()),
        };
        self.compare_top(op, self.there(other), pops, quietly);
        Ok(())
    }

    fn ficom(&mut self, op: &Op, pops: Pops) -> Step {
        self.begin_x87()?;
        let number = self.integer_in_memory(op)?;
        self.start_x87(op);
        self.compare_top(op, Some(number), pops, false);
        Ok(())
    }

    fn ftst(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        self.compare_top(op, Some(Number::zero(false)), Pops::None, false);
        Ok(())
    }

    /// Returns a register that is not empty.
    fn there(&self, index: usize) -> Option<Number> {
        (!self.is_empty(index)).then(|| self.st(index))
    }

    /// Compares ST0, and tells the order by C0, C2 and C3, even if an exception is not masked.
    fn compare_top(&mut self, op: &Op, other: Option<Number>, pops: Pops, quietly: bool) {
        let (order, is_done) = self.order(op, other, quietly);
        let codes = match order {
            None => C3 | C2 | C0,
            Some(Ordering::Greater) => 0,
            Some(Ordering::Less) => C0,
            Some(Ordering::Equal) => C3,
        };
        self.state.fpu.status = self.state.fpu.status & !(C3 | C2 | C0) | codes;
        if is_done {
            self.pop_all(pops);
        }
    }

    /// FCOMI and FUCOMI, without and with a pop: the order goes to the CPU's own flags.
    fn fcomi(&mut self, op: &Op, pops: Pops, quietly: bool) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        let other = self.there(Self::st_operand(op.insn.op1_register()));
        let (order, is_done) = self.order(op, other, quietly);
        self.set_status(status_of(order));
        if is_done {
            self.pop_all(pops);
        }
        Ok(())
    }

    /// Returns the order of ST0 and another number, and whether no exception prevents a pop. Empty registers are unordered.
    fn order(&mut self, op: &Op, other: Option<Number>, quietly: bool) -> (Option<Ordering>, bool) {
        let (Some(a), Some(b)) = (self.there(0), other) else {
            return (None, self.stack_fault(op, false));
        };
        let mut context = self.context();
        let order = context.compare(a, b, quietly);
        self.finish_x87(op, &context);
        (order, !context.has_unmasked(flag::BEFORE))
    }

    /// FXAM: the class of ST0 in C0, C2 and C3, and its sign in C1.
    fn fxam(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        let number = self.st(0);
        let class = match number.kind {
            _ if self.is_empty(0) => C3 | C0,
            Kind::Unsupported => 0,
            Kind::Quiet | Kind::Signaling => C0,
            Kind::Normal => C2,
            Kind::Infinity => C2 | C0,
            Kind::Zero => C3,
            Kind::Denormal => C3 | C2,
        };
        let sign = if self.st_bits(0).0 >> 15 != 0 { C1 } else { 0 };
        self.state.fpu.status = self.state.fpu.status & !(C3 | C2 | C1 | C0) | class | sign;
        Ok(())
    }
}
