//! Far jumps, calls and returns: to other segments, through gates, and to outer privilege (Intel SDM volume 3A, 5.8).

use guestlab_cpu::{Rights, state::seg};
use iced_x86::{Code, OpKind};

use crate::{
    access::Access,
    cpu::Op,
    cpu::SoftCpu,
    fault::{GP, NP, SS, Step, TS, fault_code, gp0},
    operand::mask,
    segments::{CALL_GATE_16, CALL_GATE_32, Descriptor, TASK_GATE, TSS_16, TSS_32, code_of},
    task::Cause,
};

/// The target of a far transfer.
#[derive(Clone, Copy)]
struct Target {
    selector: u16,
    offset: u64,
    /// The size of the offset in bytes, which is also that of what a call pushes.
    size: u8,
}

impl SoftCpu {
    /// Returns the far pointer of an instruction: in it, or in memory.
    fn far_target(&mut self, op: &Op) -> Step<Target> {
        match op.insn.op_kind(0) {
            OpKind::FarBranch16 => Ok(Target {
                selector: op.insn.far_branch_selector(),
                offset: op.insn.far_branch16().into(),
                size: 2,
            }),
            OpKind::FarBranch32 => Ok(Target {
                selector: op.insn.far_branch_selector(),
                offset: op.insn.far_branch32().into(),
                size: 4,
            }),
            _ => {
                let size = match op.insn.code() {
                    Code::Jmp_m1616 | Code::Call_m1616 => 2,
                    Code::Jmp_m1632 | Code::Call_m1632 => 4,
                    _ => 8,
                };
                let at = self.offset(&op.mem);
                let selector_at = at.wrapping_add(u64::from(size)) & op.mem.mask;
                let offset = self.read(op.mem.segment, at, size)?;
                let selector = self.read(op.mem.segment, selector_at, 2)? as u16;
                Ok(Target { selector, offset, size })
            }
        }
    }

    pub(crate) fn jmp_far(&mut self, op: &Op) -> Step {
        let target = self.far_target(op)?;
        if self.has_paragraphs() {
            return self.go_to_paragraph(target);
        }
        let descriptor = self.target_descriptor(target.selector)?;
        if descriptor.is_code() {
            self.check_code(descriptor, target.selector)?;
            return self.enter_code(descriptor, target.selector, target.offset & mask(target.size), self.cpl);
        }
        match descriptor.kind() {
            CALL_GATE_16 | CALL_GATE_32 => {
                self.check_gate(descriptor, target.selector)?;
                let (code, selector, offset) = self.gate_target(descriptor)?;
                if !code.is_conforming() && code.dpl() != self.cpl {
                    return Err(fault_code(GP, code_of(selector)));
                }
                self.enter_code(code, selector, offset, self.cpl)
            }
            TASK_GATE | TSS_16 | TSS_32 => self.switch_by(descriptor, target.selector, Cause::Jump),
            _ => Err(fault_code(GP, code_of(target.selector))),
        }
    }

    pub(crate) fn call_far(&mut self, op: &Op) -> Step {
        let target = self.far_target(op)?;
        let (cs, back) = (self.state.segments[seg::CS].selector, self.state.ip);
        if self.has_paragraphs() {
            self.check_room(target.size, 2)?;
            self.go_to_paragraph(target)?;
            self.push(target.size, cs.into())?;
            return self.push(target.size, back);
        }
        let descriptor = self.target_descriptor(target.selector)?;
        if descriptor.is_code() {
            self.check_code(descriptor, target.selector)?;
            self.check_room(target.size, 2)?;
            let before = self.state.clone();
            self.enter_code(descriptor, target.selector, target.offset & mask(target.size), self.cpl)?;
            let pushed = self.push(target.size, cs.into()).and_then(|()| self.push(target.size, back));
            return self.undone_unless(pushed, before);
        }
        match descriptor.kind() {
            CALL_GATE_16 | CALL_GATE_32 => {
                self.check_gate(descriptor, target.selector)?;
                self.call_gate(descriptor, cs, back)
            }
            TASK_GATE | TSS_16 | TSS_32 => self.switch_by(descriptor, target.selector, Cause::Call),
            _ => Err(fault_code(GP, code_of(target.selector))),
        }
    }

    /// Puts the state back if a part of an instruction faulted.
    pub(crate) fn undone_unless(&mut self, outcome: Step, before: guestlab_cpu::CpuState) -> Step {
        if outcome.is_err() {
            let flags = self.flags;
            self.state = before;
            self.flags = flags;
            self.refresh();
        }
        outcome
    }

    /// Jumps to another segment in real or virtual-8086 mode.
    fn go_to_paragraph(&mut self, target: Target) -> Step {
        let offset = target.offset & mask(target.size);
        if offset > self.state.segments[seg::CS].limit.into() {
            return Err(gp0());
        }
        self.state.segments[seg::CS] = self.paragraph(self.state.segments[seg::CS], target.selector);
        self.state.ip = offset;
        self.refresh();
        Ok(())
    }

    fn target_descriptor(&mut self, selector: u16) -> Step<Descriptor> {
        if selector & !3 == 0 {
            return Err(gp0());
        }
        self.descriptor(selector, GP)
    }

    /// Checks that code may jump to a code segment without a gate (Intel SDM volume 3A, 5.8.1).
    fn check_code(&self, descriptor: Descriptor, selector: u16) -> Step {
        let rpl = (selector & 3) as u8;
        let is_allowed = match descriptor.is_conforming() {
            true => descriptor.dpl() <= self.cpl,
            false => rpl <= self.cpl && descriptor.dpl() == self.cpl,
        };
        if !is_allowed || !self.is_possible(descriptor) {
            return Err(fault_code(GP, code_of(selector)));
        }
        if !descriptor.is_present() {
            return Err(fault_code(NP, code_of(selector)));
        }
        Ok(())
    }

    /// Returns false for a code segment with L and D: together they mean nothing in long mode.
    fn is_possible(&self, code: Descriptor) -> bool {
        !(self.state.is_long() && code.rights().has(Rights::LONG) && code.rights().has(Rights::BIG))
    }

    fn check_gate(&self, gate: Descriptor, selector: u16) -> Step {
        let rpl = (selector & 3) as u8;
        if gate.dpl() < self.cpl.max(rpl) || self.state.is_long() && gate.kind() == CALL_GATE_16 {
            return Err(fault_code(GP, code_of(selector)));
        }
        if !gate.is_present() {
            return Err(fault_code(NP, code_of(selector)));
        }
        Ok(())
    }

    /// Returns the code segment that a call gate leads to, and the offset there.
    fn gate_target(&mut self, gate: Descriptor) -> Step<(Descriptor, u16, u64)> {
        let selector = gate.gate_selector();
        let mut offset = gate.gate_offset();
        if self.state.is_long() {
            offset |= (self.upper_half(gate)? & 0xFFFF_FFFF) << 32;
        }
        let code = self.target_descriptor(selector)?;
        let is_right = code.is_code() && code.dpl() <= self.cpl && self.is_possible(code);
        if !is_right || self.state.is_long() && !code.rights().has(Rights::LONG) {
            return Err(fault_code(GP, code_of(selector)));
        }
        if !code.is_present() {
            return Err(fault_code(NP, code_of(selector)));
        }
        Ok((code, selector, offset))
    }

    /// Sets CS and RIP. The offset must be in the segment.
    pub(crate) fn enter_code(&mut self, code: Descriptor, selector: u16, offset: u64, cpl: u8) -> Step {
        let is_64 = self.state.is_long() && code.rights().has(Rights::LONG);
        let is_inside = if is_64 { self.is_canonical(offset) } else { offset <= code.limit().into() };
        if !is_inside {
            return Err(gp0());
        }
        self.set_code_segment(code, selector, cpl)?;
        self.state.ip = offset;
        self.refresh();
        Ok(())
    }

    /// Checks that so many values can be pushed.
    pub(crate) fn check_room(&self, size: u8, count: u64) -> Step {
        let mask = self.stack_mask();
        let pointer = self.stack_pointer();
        for index in [1, count] {
            let place = pointer.wrapping_sub(index * u64::from(size)) & mask;
            self.linear(seg::SS as u8, place, size, Access::WRITE)?;
        }
        Ok(())
    }

    /// Calls through a gate, to the same privilege or an inner one (Intel SDM volume 3A, 5.8.3 to 5.8.5).
    fn call_gate(&mut self, gate: Descriptor, cs: u16, back: u64) -> Step {
        let size: u8 = if self.state.is_long() {
            8
        } else if gate.kind() == CALL_GATE_32 {
            4
        } else {
            2
        };
        let (code, selector, offset) = self.gate_target(gate)?;
        let before = self.state.clone();
        if code.is_conforming() || code.dpl() == self.cpl {
            self.check_room(size, 2)?;
            self.enter_code(code, selector, offset, self.cpl)?;
            let pushed = self.push(size, cs.into()).and_then(|()| self.push(size, back));
            return self.undone_unless(pushed, before);
        }
        let count = if size == 8 { 0 } else { gate.low >> 32 & 0x1F };
        let mut arguments = [0; 31];
        for (index, argument) in (0..count).zip(&mut arguments) {
            *argument = self.peek(size, index * u64::from(size))?;
        }
        let (ss, sp) =
            (self.state.segments[seg::SS].selector, self.state.general[guestlab_cpu::state::reg::RSP]);
        let outcome = self.inner_stack(code.dpl()).and_then(|()| {
            let stack = self.state.segments[seg::SS].selector;
            self.push_call(size, (ss, sp), &arguments[..count as usize], (cs, back))
                .map_err(|event| event.of_new_stack(stack))?;
            self.enter_code(code, selector, offset, code.dpl())
        });
        self.undone_unless(outcome, before)
    }

    /// Pushes on a new stack what a call to an inner level leaves there: the old stack, arguments, the return address.
    fn push_call(&mut self, size: u8, stack: (u16, u64), arguments: &[u64], back: (u16, u64)) -> Step {
        self.check_room(size, 4 + arguments.len() as u64)?;
        self.push(size, stack.0.into())?;
        self.push(size, stack.1)?;
        for &argument in arguments.iter().rev() {
            self.push(size, argument)?;
        }
        self.push(size, back.0.into())?;
        self.push(size, back.1)
    }

    /// Switches to the stack that the task has for an inner privilege level.
    pub(crate) fn inner_stack(&mut self, level: u8) -> Step {
        if self.state.is_long() {
            let pointer = self.stack_in_long_task(4 + 8 * u64::from(level))?;
            return self.null_stack(level, pointer);
        }
        let (selector, pointer) = self.stack_of_level(level)?;
        self.set_stack(selector, pointer, level, TS)
    }

    /// Sets SS to a null selector of this privilege, as a switch to an inner level does in long mode.
    pub(crate) fn null_stack(&mut self, level: u8, pointer: u64) -> Step {
        if !self.is_canonical(pointer) {
            return Err(fault_code(SS, 0));
        }
        let rights = Rights(u32::from(level) << 5).with(Rights::UNUSABLE);
        self.state.segments[seg::SS] =
            guestlab_cpu::Segment { selector: level.into(), rights, base: 0, limit: 0 };
        self.cpl = level;
        self.state.general[guestlab_cpu::state::reg::RSP] = pointer;
        Ok(())
    }

    /// Sets SS and ESP for a privilege level.
    pub(crate) fn set_stack(&mut self, selector: u16, pointer: u64, level: u8, vector: u8) -> Step {
        let wrong = fault_code(vector, code_of(selector));
        if selector & !3 == 0 {
            return Err(wrong);
        }
        let mut stack = self.descriptor(selector, vector)?;
        let rights = stack.rights();
        let is_stack = stack.is_segment() && !stack.is_code() && rights.has(Rights::WRITABLE);
        if !is_stack || selector & 3 != u16::from(level) || stack.dpl() != level {
            return Err(wrong);
        }
        if !stack.is_present() {
            return Err(fault_code(SS, code_of(selector)));
        }
        self.mark_accessed(&mut stack)?;
        self.state.segments[seg::SS] = stack.segment(selector);
        self.refresh();
        self.set_stack_pointer(pointer);
        Ok(())
    }

    /// RETF, with or without a number of bytes of arguments to remove.
    pub(crate) fn ret_far(&mut self, op: &Op) -> Step {
        let size: u8 = match op.insn.code() {
            Code::Retfw | Code::Retfw_imm16 => 2,
            Code::Retfd | Code::Retfd_imm16 => 4,
            _ => 8,
        };
        let offset = self.peek(size, 0)?;
        let selector = self.peek(size, size.into())? as u16;
        let removed = 2 * u64::from(size) + op.imm;
        if self.has_paragraphs() {
            self.go_to_paragraph(Target { selector, offset, size })?;
            self.drop_stack(removed);
            return Ok(());
        }
        let before = self.state.clone();
        let outcome = self.return_to(selector, offset, size, removed, op.imm);
        self.undone_unless(outcome, before)
    }

    /// Returns to a code segment of the same privilege or an outer one. `removed` bytes are on the inner stack, and
    /// then `arguments` more on the outer one (Intel SDM volume 3A, 5.8.6).
    pub(crate) fn return_to(
        &mut self,
        selector: u16,
        offset: u64,
        size: u8,
        removed: u64,
        arguments: u64,
    ) -> Step {
        let code = self.target_descriptor(selector)?;
        let rpl = (selector & 3) as u8;
        let is_allowed = code.is_code()
            && rpl >= self.cpl
            && if code.is_conforming() { code.dpl() <= rpl } else { code.dpl() == rpl };
        if !is_allowed || !self.is_possible(code) {
            return Err(fault_code(GP, code_of(selector)));
        }
        if !code.is_present() {
            return Err(fault_code(NP, code_of(selector)));
        }
        if rpl == self.cpl {
            self.drop_stack(removed);
            return self.enter_code(code, selector, offset, rpl);
        }
        let pointer = self.peek(size, removed)?;
        let stack = self.peek(size, removed + u64::from(size))? as u16;
        self.leave_to_outer(code, selector, offset, rpl)?;
        self.set_outer_stack(stack, pointer, rpl)?;
        self.drop_stack(arguments);
        self.forget_inner_segments();
        Ok(())
    }

    fn leave_to_outer(&mut self, code: Descriptor, selector: u16, offset: u64, cpl: u8) -> Step {
        self.enter_code(code, selector, offset, cpl)
    }

    /// Sets the stack of an outer level. 64-bit code can have a null one, except at level 3.
    pub(crate) fn set_outer_stack(&mut self, selector: u16, pointer: u64, level: u8) -> Step {
        if selector & !3 == 0 && self.bits == 64 && level < 3 {
            return self.null_stack(level, pointer);
        }
        self.set_stack(selector, pointer, level, GP)
    }

    /// Makes data segments unusable that outer code may not use (Intel SDM volume 3A, 5.8.6).
    pub(crate) fn forget_inner_segments(&mut self) {
        for index in [seg::ES, seg::DS, seg::FS, seg::GS] {
            let segment = &mut self.state.segments[index];
            let rights = segment.rights;
            let is_conforming = rights.has(Rights::EXECUTABLE) && rights.has(Rights::CONFORMING);
            if !is_conforming && rights.privilege() < self.cpl && !rights.has(Rights::UNUSABLE) {
                segment.selector = 0;
                segment.rights = rights.with(Rights::UNUSABLE);
            }
        }
        self.refresh();
    }
}
