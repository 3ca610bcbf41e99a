//! Near jumps, calls and returns (Intel SDM volume 1, 7.3.8).

use guestlab_cpu::state::reg;
use iced_x86::Code;

use crate::{
    cpu::{Handler, Op, SoftCpu},
    fault::{Step, gp0},
    operand::mask,
};

/// Returns the function of Jcc for a condition.
pub(crate) fn jcc(condition: u8) -> Handler {
    use SoftCpu as C;
    [
        C::jump_if::<0>,
        C::jump_if::<1>,
        C::jump_if::<2>,
        C::jump_if::<3>,
        C::jump_if::<4>,
        C::jump_if::<5>,
        C::jump_if::<6>,
        C::jump_if::<7>,
        C::jump_if::<8>,
        C::jump_if::<9>,
        C::jump_if::<10>,
        C::jump_if::<11>,
        C::jump_if::<12>,
        C::jump_if::<13>,
        C::jump_if::<14>,
        C::jump_if::<15>,
    ][usize::from(condition & 15)]
}

impl SoftCpu {
    /// Sets the instruction pointer to a target of `size` bytes, which must be in the code segment.
    #[inline]
    fn go_to(&mut self, target: u64, size: u8) -> Step {
        let target = target & mask(size);
        let is_there = if self.bits == 64 { self.is_canonical(target) } else { self.is_in_code(target) };
        if !is_there {
            return Err(gp0());
        }
        self.state.ip = target;
        Ok(())
    }

    pub(crate) fn jmp(&mut self, op: &Op) -> Step {
        let target = self.get(op, op.to, op.size)?;
        self.go_to(target, op.size)
    }

    fn jump_if<const CONDITION: u8>(&mut self, op: &Op) -> Step {
        if self.flags.condition(CONDITION) { self.go_to(op.imm, op.size) } else { Ok(()) }
    }

    pub(crate) fn call(&mut self, op: &Op) -> Step {
        let target = self.get(op, op.to, op.size)?;
        let back = self.state.ip;
        self.go_to(target, op.size)?;
        self.push(op.size, back)
    }

    /// RET, with or without a number of bytes of arguments to remove.
    pub(crate) fn ret(&mut self, op: &Op) -> Step {
        let size = match op.insn.code() {
            Code::Retnw | Code::Retnw_imm16 => 2,
            Code::Retnd | Code::Retnd_imm16 => 4,
            _ => 8,
        };
        let target = self.peek(size, 0)?;
        self.go_to(target, size)?;
        self.drop_stack(u64::from(size) + op.imm);
        Ok(())
    }

    /// JCXZ, JECXZ and JRCXZ.
    pub(crate) fn jcxz(&mut self, op: &Op) -> Step {
        let count = self.register(reg::RCX as u8, count_size(op.insn.code()));
        if count == 0 { self.go_to(op.imm, op.size) } else { Ok(()) }
    }

    /// LOOP, LOOPE and LOOPNE: the condition is in `op.condition`, or 16 for none.
    fn count_down(&mut self, op: &Op, goes_on: bool) -> Step {
        let size = count_size(op.insn.code());
        let count = self.register(reg::RCX as u8, size).wrapping_sub(1) & mask(size);
        if count != 0 && goes_on {
            self.go_to(op.imm, op.size)?;
        }
        self.set_register(reg::RCX as u8, size, count);
        Ok(())
    }

    pub(crate) fn loop_count(&mut self, op: &Op) -> Step {
        self.count_down(op, true)
    }

    pub(crate) fn loope(&mut self, op: &Op) -> Step {
        let is_zero = self.flags.zero();
        self.count_down(op, is_zero)
    }

    pub(crate) fn loopne(&mut self, op: &Op) -> Step {
        let is_zero = self.flags.zero();
        self.count_down(op, !is_zero)
    }
}

/// Returns the size of the count register, which is that of addresses.
fn count_size(code: Code) -> u8 {
    match code {
        Code::Jcxz_rel8_16
        | Code::Jcxz_rel8_32
        | Code::Loop_rel8_16_CX
        | Code::Loop_rel8_32_CX
        | Code::Loope_rel8_16_CX
        | Code::Loope_rel8_32_CX
        | Code::Loopne_rel8_16_CX
        | Code::Loopne_rel8_32_CX => 2,
        Code::Jrcxz_rel8_16
        | Code::Jrcxz_rel8_64
        | Code::Loop_rel8_16_RCX
        | Code::Loop_rel8_64_RCX
        | Code::Loope_rel8_16_RCX
        | Code::Loope_rel8_64_RCX
        | Code::Loopne_rel8_16_RCX
        | Code::Loopne_rel8_64_RCX => 8,
        _ => 4,
    }
}
