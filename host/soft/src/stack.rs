//! The stack (Intel SDM volume 1, chapter 6).

use guestlab_cpu::state::{reg, seg};
use iced_x86::{Code, Mnemonic};

use crate::{
    access::Access,
    cpu::SoftCpu,
    cpu::{Op, Operand},
    fault::{Step, gp0},
    flags,
};

const SS: u8 = seg::SS as u8;

impl SoftCpu {
    /// Returns the stack pointer, cut to the width that the stack segment has.
    pub(crate) fn stack_pointer(&self) -> u64 {
        self.state.general[reg::RSP] & self.stack_mask()
    }

    /// Returns the bits of RSP that the stack uses.
    pub(crate) fn stack_mask(&self) -> u64 {
        if self.bits == 64 { u64::MAX } else { self.state.stack_mask() }
    }

    /// Sets the stack pointer, in the width that the stack segment has.
    pub(crate) fn set_stack_pointer(&mut self, value: u64) {
        let mask = self.stack_mask();
        let rsp = &mut self.state.general[reg::RSP];
        *rsp = *rsp & !mask | value & mask;
    }

    /// Pushes a value.
    #[inline]
    pub(crate) fn push(&mut self, size: u8, value: u64) -> Step {
        let pointer = self.stack_pointer().wrapping_sub(size.into()) & self.stack_mask();
        self.write(SS, pointer, size, value)?;
        self.set_stack_pointer(pointer);
        Ok(())
    }

    /// Reads a value `distance` bytes above the top of the stack.
    pub(crate) fn peek(&mut self, size: u8, distance: u64) -> Step<u64> {
        let pointer = self.stack_pointer().wrapping_add(distance) & self.stack_mask();
        self.read(SS, pointer, size)
    }

    /// Removes bytes from the stack.
    pub(crate) fn drop_stack(&mut self, bytes: u64) {
        self.set_stack_pointer(self.stack_pointer().wrapping_add(bytes));
    }

    /// Pops a value.
    #[inline]
    pub(crate) fn pop_value(&mut self, size: u8) -> Step<u64> {
        let value = self.peek(size, 0)?;
        self.drop_stack(size.into());
        Ok(value)
    }

    pub(crate) fn push_operand(&mut self, op: &Op) -> Step {
        let size = self.push_size(op);
        if let Operand::Segment(segment) = op.to {
            return self.push_selector(usize::from(segment), size);
        }
        let value = self.get(op, op.to, size.max(op.size))?;
        self.push(size, value)
    }

    /// Pushes a selector: the stack pointer moves by the operand's size, but only 16 bits are written (Intel SDM
    /// volume 2B, "PUSH").
    fn push_selector(&mut self, segment: usize, size: u8) -> Step {
        let selector = self.state.segments[segment].selector;
        let pointer = self.stack_pointer().wrapping_sub(size.into()) & self.stack_mask();
        let written = if size == 8 { 8 } else { 2 };
        self.write(SS, pointer, written, selector.into())?;
        self.set_stack_pointer(pointer);
        Ok(())
    }

    /// MOV and POP of SS keep interrupts and debug exceptions away until the end of the next instruction, which loads the
    /// stack pointer (Intel SDM volume 3A, 6.8.3).
    pub(crate) fn shield(&mut self, segment: u8) {
        let is_stack = segment == SS;
        self.state.shadow |= is_stack;
        self.blocks_traps |= is_stack;
    }

    /// Returns the size of what is pushed or popped.
    fn push_size(&self, op: &Op) -> u8 {
        op.insn.stack_pointer_increment().unsigned_abs() as u8
    }

    pub(crate) fn pop(&mut self, op: &Op) -> Step {
        let size = self.push_size(op);
        let before = self.state.general[reg::RSP];
        let value = self.peek(size, 0)?;
        if let Operand::Segment(segment) = op.to {
            // The stack pointer moves in the width of the old stack segment.
            self.drop_stack(size.into());
            if let Err(event) = self.load_segment(usize::from(segment), value as u16) {
                self.state.general[reg::RSP] = before;
                return Err(event);
            }
            self.shield(segment);
            self.stale = true;
            return Ok(());
        }
        // An address made of the stack pointer uses its value after the pop (Intel SDM volume 2B, "POP").
        self.drop_stack(size.into());
        if let Err(event) = self.put(op, op.to, size, value) {
            self.state.general[reg::RSP] = before;
            return Err(event);
        }
        Ok(())
    }

    pub(crate) fn pusha(&mut self, op: &Op) -> Step {
        let size = if op.insn.mnemonic() == Mnemonic::Pusha { 2 } else { 4 };
        let (pointer, mask) = (self.stack_pointer(), self.stack_mask());
        // The last slot is checked first, so that nothing changes if it faults.
        let place = |index: u64| pointer.wrapping_sub((index + 1) * u64::from(size)) & mask;
        for index in [7, 0] {
            self.linear(SS, place(index), size, Access::WRITE)?;
        }
        for index in 0..8 {
            let value = self.register(index as u8, size);
            self.write(SS, place(index), size, value)?;
        }
        self.set_stack_pointer(place(7));
        Ok(())
    }

    pub(crate) fn popa(&mut self, op: &Op) -> Step {
        let size: u8 = if op.insn.mnemonic() == Mnemonic::Popa { 2 } else { 4 };
        let mut values = [0; 8];
        for (index, value) in (0..).zip(&mut values) {
            *value = self.peek(size, index * u64::from(size))?;
        }
        for (index, value) in (0..8_u8).zip(values) {
            let register = 7 - index;
            // The stored stack pointer is skipped.
            if usize::from(register) != reg::RSP {
                self.set_register(register, size, value);
            }
        }
        self.drop_stack(8 * u64::from(size));
        Ok(())
    }

    pub(crate) fn pushf(&mut self, op: &Op) -> Step {
        self.check_io_privilege_in_v86()?;
        let size = match op.insn.mnemonic() {
            Mnemonic::Pushf => 2,
            Mnemonic::Pushfd => 4,
            _ => 8,
        };
        // VM and RF are pushed as 0 (Intel SDM volume 2B, "PUSHF").
        let flags = self.flags.get() & !(flags::VM | flags::RF);
        self.push(size, flags)
    }

    pub(crate) fn popf(&mut self, op: &Op) -> Step {
        self.check_io_privilege_in_v86()?;
        let size = match op.insn.mnemonic() {
            Mnemonic::Popf => 2,
            Mnemonic::Popfd => 4,
            _ => 8,
        };
        let value = self.pop_value(size)?;
        self.load_flags(value, size, self.cpl);
        Ok(())
    }

    /// In virtual-8086 mode some instructions need IOPL 3 (Intel SDM volume 3B, 22.2.7).
    pub(crate) fn check_io_privilege_in_v86(&self) -> Step {
        let is_allowed = !self.flags.has(flags::VM) || self.io_privilege() == 3;
        if is_allowed { Ok(()) } else { Err(gp0()) }
    }

    /// Returns IOPL.
    pub(crate) fn io_privilege(&self) -> u8 {
        (self.flags.get() >> 12 & 3) as u8
    }

    /// Loads the flags that code at this privilege level may change (Intel SDM volume 2B, "POPF", table 4-15).
    pub(crate) fn load_flags(&mut self, value: u64, size: u8, cpl: u8) {
        let may_change = self.changeable_flags(size, cpl);
        let kept = self.flags.get() & !may_change;
        // RF is cleared by POPF itself.
        self.flags.set((kept | value & may_change & !flags::RF) | 2);
        self.refresh();
    }

    /// Returns the flags that POPF and IRET may change, at a privilege level (Intel SDM volume 2B, "POPF"; volume 2A,
    /// "IRET").
    pub(crate) fn changeable_flags(&self, size: u8, cpl: u8) -> u64 {
        let mut may_change = flags::STATUS | flags::TF | flags::DF | flags::NT;
        if size > 2 {
            may_change |= flags::AC | flags::ID | flags::RF;
        }
        let is_real = !self.state.is_protected();
        if is_real || cpl == 0 {
            may_change |= flags::IOPL;
        }
        if is_real || cpl <= self.io_privilege() {
            may_change |= flags::IF;
        }
        may_change
    }

    /// ENTER: a frame with copies of the frame pointers of the functions around it (Intel SDM volume 1, 6.6).
    pub(crate) fn enter(&mut self, op: &Op) -> Step {
        let size: u8 = match op.insn.code() {
            Code::Enterw_imm16_imm8 => 2,
            Code::Enterd_imm16_imm8 => 4,
            _ => 8,
        };
        let (room, level) = (u64::from(op.insn.immediate16()), op.insn.immediate8_2nd() % 32);
        let saved = self.state.general;
        let outcome = self.make_frame(size, room, level);
        if outcome.is_err() {
            self.state.general = saved;
        }
        outcome
    }

    fn make_frame(&mut self, size: u8, room: u64, level: u8) -> Step {
        let bp = reg::RBP as u8;
        let mask = self.stack_mask();
        self.push(size, self.register(bp, size))?;
        // All of it, also where the stack uses 16 bits of it.
        let frame = self.state.general[reg::RSP];
        if level > 0 {
            for index in 1..level {
                let from =
                    (self.state.general[reg::RBP] & mask).wrapping_sub(u64::from(size) * u64::from(index));
                let pointer = self.read(SS, from & mask, size)?;
                self.push(size, pointer)?;
            }
            self.push(size, frame)?;
        }
        let top = self.stack_pointer().wrapping_sub(room) & mask;
        // The new top must be writable, though nothing is written there yet.
        let linear = self.linear(SS, top, size, Access::WRITE)?;
        self.translate(linear, Access::WRITE)?;
        self.set_register(bp, size, frame);
        self.set_stack_pointer(top);
        Ok(())
    }

    pub(crate) fn leave(&mut self, op: &Op) -> Step {
        let size: u8 = match op.insn.code() {
            Code::Leavew => 2,
            Code::Leaved => 4,
            _ => 8,
        };
        let before = self.state.general[reg::RSP];
        self.set_stack_pointer(self.state.general[reg::RBP]);
        match self.pop_value(size) {
            Ok(frame) => {
                self.set_register(reg::RBP as u8, size, frame);
                Ok(())
            }
            Err(event) => {
                self.state.general[reg::RSP] = before;
                Err(event)
            }
        }
    }
}
