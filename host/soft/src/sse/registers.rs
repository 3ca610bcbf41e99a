//! Registers and operands of vector instructions, and whether they may be used at all.

use iced_x86::Register;
use x86_64::registers::control::{Cr0Flags, Cr4Flags};

use crate::{
    access::Access,
    cpu::{Op, Operand, SoftCpu},
    fault::{MF, NM, Step, fault, ud},
    flags,
};

/// The exponent that a write to an MMX register leaves in its x87 register (Intel SDM volume 1, 9.2.1).
const MMX_HEAD: [u8; 2] = [0xFF; 2];

impl SoftCpu {
    /// Checks whether SSE can be used (Intel SDM volume 3A, table 13-1 and 2.5, "OSFXSR").
    #[inline]
    pub(crate) fn begin_sse(&self) -> Step {
        if self.state.cr0 & Cr0Flags::EMULATE_COPROCESSOR.bits() != 0
            || self.state.cr4 & Cr4Flags::OSFXSR.bits() == 0
        {
            return Err(ud());
        }
        self.check_task_switched()
    }

    /// Checks whether MMX can be used (Intel SDM volume 3A, 12.1).
    pub(crate) fn begin_mmx(&self) -> Step {
        if self.state.cr0 & Cr0Flags::EMULATE_COPROCESSOR.bits() != 0 {
            return Err(ud());
        }
        self.check_task_switched()?;
        self.check_pending()
    }

    /// Raises #NM if the registers belong to another task.
    pub(crate) fn check_task_switched(&self) -> Step {
        if self.state.cr0 & Cr0Flags::TASK_SWITCHED.bits() == 0 { Ok(()) } else { Err(fault(NM)) }
    }

    /// Raises #MF if an x87 exception that is not masked is pending. There is no interrupt controller that the FERR# pin
    /// could reach, so that CR0.NE makes no difference, as with KVM on Intel's CPUs.
    pub(crate) fn check_pending(&self) -> Step {
        const ERROR_SUMMARY: u16 = 1 << 7;
        if self.state.fpu.status & ERROR_SUMMARY == 0 { Ok(()) } else { Err(fault(MF)) }
    }

    /// Checks whether the kinds of registers that an instruction names can be used.
    pub(super) fn begin(&self, op: &Op) -> Step {
        let registers = [op.insn.op0_register(), op.insn.op1_register()];
        if registers.iter().any(|register| register.is_xmm()) {
            self.begin_sse()?;
        }
        if registers.iter().any(|register| register.is_mm()) { self.begin_mmx() } else { Ok(()) }
    }

    /// Makes the x87 registers MMX registers if the instruction has some (Intel SDM volume 1, 9.5.1).
    pub(super) fn enter_mmx_for(&mut self, op: &Op) {
        if op.insn.op0_register().is_mm() || op.insn.op1_register().is_mm() {
            self.enter_mmx();
        }
    }

    /// Makes the x87 registers MMX registers: TOP is 0, and all registers are in use.
    pub(super) fn enter_mmx(&mut self) {
        let top = self.top();
        self.state.fpu.st.rotate_right(top);
        self.state.fpu.status &= !TOP;
        self.state.fpu.tags = 0xFF;
    }

    /// Returns the number of the physical x87 register that is ST0.
    pub(crate) fn top(&self) -> usize {
        usize::from(self.state.fpu.status >> TOP.trailing_zeros() & 7)
    }

    /// Returns an XMM register.
    #[inline]
    pub(crate) fn xmm(&self, register: usize) -> u128 {
        u128::from_le_bytes(self.state.fpu.xmm[register & 15])
    }

    #[inline]
    pub(crate) fn set_xmm(&mut self, register: usize, value: u128) {
        self.state.fpu.xmm[register & 15] = value.to_le_bytes();
    }

    /// Returns an XMM or MMX register.
    #[inline]
    pub(super) fn vector(&self, register: Register) -> u128 {
        if !register.is_mm() {
            return self.xmm(register.number());
        }
        // The state has the registers as a stack, MMX numbers them as they are.
        let place = register.number().wrapping_sub(self.top()) & 7;
        u128::from_le_bytes(self.state.fpu.st[place]) & u128::from(u64::MAX)
    }

    /// Sets an XMM register, or an MMX register to the low half of a vector.
    #[inline]
    pub(super) fn set_vector(&mut self, register: Register, value: u128) {
        if !register.is_mm() {
            return self.set_xmm(register.number(), value);
        }
        self.enter_mmx();
        let place = &mut self.state.fpu.st[register.number() & 7];
        place[..8].copy_from_slice(&(value as u64).to_le_bytes());
        place[8..10].copy_from_slice(&MMX_HEAD);
    }

    /// Returns the second operand: a register, memory or an immediate value. 16 bytes in memory have to be aligned.
    #[inline]
    pub(super) fn source(&mut self, op: &Op) -> Step<u128> {
        match op.from {
            Operand::Memory if op.from_size == 16 => {
                self.check_16_bytes(op, Access::READ)?;
                self.read_16(op.mem.segment, self.offset(&op.mem))
            }
            Operand::None => Ok(self.vector(op.insn.op1_register())),
            _ => Ok(self.get(op, op.from, op.from_size)?.into()),
        }
    }

    /// Writes the first operand, which is a vector register or memory. 16 bytes in memory have to be aligned.
    pub(super) fn set_destination(&mut self, op: &Op, value: u128) -> Step {
        match op.to {
            Operand::Memory if op.size == 16 => {
                self.check_16_bytes(op, Access::WRITE)?;
                self.write_16(op.mem.segment, self.offset(&op.mem), value)
            }
            Operand::None => {
                self.set_vector(op.insn.op0_register(), value);
                Ok(())
            }
            _ => self.put(op, op.to, op.size, value as u64),
        }
    }

    /// Combines two vectors. The first one's register gets the result.
    #[inline]
    pub(super) fn combine(&mut self, op: &Op, f: impl Fn(u128, u128) -> u128) -> Step {
        let register = op.insn.op0_register();
        if register.is_mm() {
            self.begin_mmx()?
        } else {
            self.begin_sse()?
        }
        let b = self.source(op)?;
        let a = self.vector(register);
        self.set_vector(register, f(a, b));
        Ok(())
    }
}

impl SoftCpu {
    /// Sets these status flags and clears the others.
    pub(crate) fn set_status(&mut self, status: u64) {
        let word = self.flags.get() & !flags::STATUS | status;
        self.flags.set(word);
    }
}

/// The field TOP of the x87 status word.
pub(crate) const TOP: u16 = 7 << 11;
