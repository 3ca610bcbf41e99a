//! String instructions, and their repetition (Intel SDM volume 1, 7.3.9).
//!
//! Each repetition is carried out whole: registers say how far it has come, so that a fault or an interrupt between two
//! repetitions can be returned from. Each repetition counts as an instruction.

use guestlab_cpu::state::{reg, seg};

use crate::{
    cpu::{Op, SoftCpu},
    fault::Step,
    flags,
};

const SI: u8 = reg::RSI as u8;
const DI: u8 = reg::RDI as u8;
const ES: u8 = seg::ES as u8;

/// The most repetitions before interrupts are looked at.
const MOST: u32 = 4096;

impl SoftCpu {
    pub(crate) fn movs(&mut self, op: &Op) -> Step {
        self.repeat(op, |cpu, op| {
            let value = cpu.read(op.mem.segment, cpu.pointer(op, SI), op.size)?;
            cpu.write(ES, cpu.pointer(op, DI), op.size, value)?;
            cpu.advance(op, SI);
            cpu.advance(op, DI);
            Ok(false)
        })
    }

    pub(crate) fn stos(&mut self, op: &Op) -> Step {
        self.repeat(op, |cpu, op| {
            let value = cpu.register(0, op.size);
            cpu.write(ES, cpu.pointer(op, DI), op.size, value)?;
            cpu.advance(op, DI);
            Ok(false)
        })
    }

    pub(crate) fn lods(&mut self, op: &Op) -> Step {
        self.repeat(op, |cpu, op| {
            let value = cpu.read(op.mem.segment, cpu.pointer(op, SI), op.size)?;
            cpu.set_register(0, op.size, value);
            cpu.advance(op, SI);
            Ok(false)
        })
    }

    pub(crate) fn cmps(&mut self, op: &Op) -> Step {
        self.repeat(op, |cpu, op| {
            let a = cpu.read(op.mem.segment, cpu.pointer(op, SI), op.size)?;
            let b = cpu.read(ES, cpu.pointer(op, DI), op.size)?;
            cpu.compare(a, b, op.size);
            cpu.advance(op, SI);
            cpu.advance(op, DI);
            Ok(true)
        })
    }

    pub(crate) fn scas(&mut self, op: &Op) -> Step {
        self.repeat(op, |cpu, op| {
            let b = cpu.read(ES, cpu.pointer(op, DI), op.size)?;
            let a = cpu.register(0, op.size);
            cpu.compare(a, b, op.size);
            cpu.advance(op, DI);
            Ok(true)
        })
    }

    pub(crate) fn ins(&mut self, op: &Op) -> Step {
        self.check_port(self.register(2, 2) as u16, op.size)?;
        self.repeat(op, |cpu, op| {
            // The place is checked before the port is read.
            let pointer = cpu.pointer(op, DI);
            cpu.linear(ES, pointer, op.size, crate::access::Access::WRITE)?;
            let value = cpu.port_in(cpu.register(2, 2) as u16, op.size)?;
            cpu.write(ES, pointer, op.size, value)?;
            cpu.advance(op, DI);
            Ok(false)
        })
    }

    pub(crate) fn outs(&mut self, op: &Op) -> Step {
        // The first operand is the port.
        let op = &Op { size: op.from_size, ..*op };
        self.check_port(self.register(2, 2) as u16, op.size)?;
        self.repeat(op, |cpu, op| {
            let value = cpu.read(op.mem.segment, cpu.pointer(op, SI), op.size)?;
            cpu.port_out(cpu.register(2, 2) as u16, op.size, value)?;
            cpu.advance(op, SI);
            Ok(false)
        })
    }

    /// Returns an index register as an address.
    fn pointer(&self, op: &Op, register: u8) -> u64 {
        self.register(register, op.address_size())
    }

    /// Moves an index register to the next element, forwards or backwards.
    fn advance(&mut self, op: &Op, register: u8) {
        let step = u64::from(op.size);
        let step = if self.flags.has(flags::DF) { step.wrapping_neg() } else { step };
        let size = op.address_size();
        self.set_register(register, size, self.register(register, size).wrapping_add(step));
    }

    /// Carries out an instruction once, or as often as its prefix and the count register say. `one` returns true if
    /// the zero flag ends the repetition.
    fn repeat(&mut self, op: &Op, one: fn(&mut Self, &Op) -> Step<bool>) -> Step {
        if !op.is_repeated() {
            return one(self, op).map(drop);
        }
        let (count_register, size) = (reg::RCX as u8, op.address_size());
        for done in 1.. {
            let count = self.register(count_register, size);
            if count == 0 {
                return Ok(());
            }
            let compares = one(self, op)?;
            self.set_register(count_register, size, count - 1);
            self.forget_answers();
            if count == 1 || compares && self.flags.zero() == op.insn.has_repne_prefix() {
                return Ok(());
            }
            if self.ends_repetition() || done == MOST || self.points.are_met() {
                (self.repeats, self.stale) = (true, true);
                return Ok(());
            }
        }
        Ok(())
    }
}
