//! Exceptions, interrupts, and the return from them (Intel SDM volume 3A, chapter 6).

use guestlab_cpu::{
    DELIVERY, EMULATION, Exit, Rights,
    state::{reg, seg},
};
use iced_x86::Code;

use crate::{
    access::Access,
    cpu::Op,
    cpu::SoftCpu,
    fault::{BP, DB, DF, Event, Fault, GP, NP, OF, PF, Step, fault_code, gp0},
    flags,
    segments::{
        Descriptor, INTERRUPT_GATE_16, INTERRUPT_GATE_32, TASK_GATE, TRAP_GATE_16, TRAP_GATE_32, code_of,
    },
    task::Cause,
};

/// The source of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// `int n`, `int3` or `into`: the gate's privilege is checked.
    Software,
    /// An interrupt from outside, or an exception that is reported behind its instruction.
    Hardware,
    /// An exception that is reported before its instruction, which can begin again.
    Fault,
}

impl SoftCpu {
    /// Delivers an exception, and those that its delivery raises. Returns an exit if the CPU shuts down.
    pub(crate) fn raise(&mut self, fault: Fault) -> Option<Exit> {
        let mut fault = fault;
        loop {
            if fault.vector == PF {
                self.state.cr2 = self.fault_address;
            }
            let source = if fault.is_restartable() { Source::Fault } else { Source::Hardware };
            self.switched = false;
            let event = match self.deliver(fault.vector, fault.code, source) {
                Ok(()) => return None,
                Err(event) => event,
            };
            fault = match event {
                Event::Fault(_) if fault.vector == DF => return Some(self.shutdown()),
                Event::Fault(second) if is_double(fault, second) => Fault { vector: DF, code: Some(0) },
                Event::Fault(second) => second,
                other => return Some(self.undeliverable(other)),
            };
        }
    }

    /// Delivers an interrupt from outside.
    pub(crate) fn external_interrupt(&mut self, vector: u8) -> Option<Exit> {
        match self.deliver(vector, None, Source::Hardware) {
            Ok(()) => None,
            Err(Event::Fault(fault)) => self.raise(fault),
            Err(other) => Some(self.undeliverable(other)),
        }
    }

    /// Returns the exit for a delivery that cannot go on: a device does not complete it.
    fn undeliverable(&mut self, event: Event) -> Exit {
        (self.exit, self.waits) = (None, false);
        let suberror = if event == Event::Missing { EMULATION } else { DELIVERY };
        Exit::InternalError { suberror }
    }

    fn shutdown(&mut self) -> Exit {
        Exit::Shutdown
    }

    /// Calls the handler of a vector, or changes nothing.
    fn deliver(&mut self, vector: u8, code: Option<u16>, source: Source) -> Step {
        let before = self.state.clone();
        let (flags, shadow) = (self.flags, core::mem::take(&mut self.state.shadow));
        let outcome = match (self.state.is_protected(), self.state.is_long()) {
            (false, _) => self.deliver_in_real_mode(vector),
            (true, false) => self.deliver_by_gate(vector, code, source),
            (true, true) => self.deliver_in_long_mode(vector, code, source),
        };
        let outcome = match source {
            Source::Software => outcome,
            Source::Hardware | Source::Fault => outcome.map_err(Event::in_delivery),
        };
        if outcome.is_err() && !self.switched {
            (self.state, self.flags) = (before, flags);
            self.state.shadow = shadow && source == Source::Software;
            self.refresh();
        }
        outcome
    }

    /// Real mode: the table has four bytes for each vector (Intel SDM volume 3B, 22.1.4).
    fn deliver_in_real_mode(&mut self, vector: u8) -> Step {
        let at = 4 * u64::from(vector);
        if at + 3 > self.state.idt.limit.into() {
            return Err(fault_code(GP, error_code(vector)));
        }
        let pointer = self.read_linear(self.state.idt.base.wrapping_add(at), 4, Access::SYSTEM_READ)?;
        let (cs, ip) = (self.state.segments[seg::CS].selector, self.state.ip);
        let pushed = self.flags.get();
        self.push(2, pushed)?;
        self.push(2, cs.into())?;
        self.push(2, ip)?;
        self.flags.put(flags::IF | flags::TF | flags::AC | flags::RF, false);
        let code = self.state.segments[seg::CS];
        self.state.segments[seg::CS] = self.paragraph(code, (pointer >> 16) as u16);
        self.state.ip = pointer & 0xFFFF;
        self.refresh();
        Ok(())
    }

    /// Protected mode: through a gate of 8 bytes (Intel SDM volume 3A, 6.11 and 6.12).
    fn deliver_by_gate(&mut self, vector: u8, code: Option<u16>, source: Source) -> Step {
        let gate = self.gate(vector, 8, source)?;
        if gate.kind() == TASK_GATE {
            self.switch_by(gate, 0, Cause::Interrupt)?;
            let size = if self.state.tr.rights.0 & 8 != 0 { 4 } else { 2 };
            return code.map_or(Ok(()), |code| self.push(size, code.into()));
        }
        let size: u8 = match gate.kind() {
            INTERRUPT_GATE_16 | TRAP_GATE_16 => 2,
            INTERRUPT_GATE_32 | TRAP_GATE_32 => 4,
            _ => return Err(fault_code(GP, error_code(vector))),
        };
        let (target, selector) = self.handler(gate)?;
        let frame = self.frame(source);
        let from_v86 = self.flags.has(flags::VM);
        let level = if target.is_conforming() { self.cpl } else { target.dpl() };
        // Virtual-8086 code is interrupted to level 0 only.
        if from_v86 && level != 0 {
            return Err(fault_code(GP, code_of(selector)));
        }
        let data = [seg::GS, seg::FS, seg::DS, seg::ES].map(|index| self.state.segments[index].selector);
        if from_v86 {
            self.flags.put(flags::VM, false);
        }
        if level < self.cpl {
            self.inner_stack(level)?;
            self.cpl = level;
            let data = if from_v86 { &data[..] } else { &[] };
            let stack = self.state.segments[seg::SS].selector;
            self.push_outer_frame(size, data, &frame, code).map_err(|event| event.of_new_stack(stack))?;
        } else {
            self.push_frame(size, &frame, code)?;
        }
        if from_v86 {
            self.forget_all_data();
        }
        self.enter_code(target, selector, gate.gate_offset(), level)?;
        self.mask_flags(gate.kind() & 1 == 0);
        Ok(())
    }

    /// Long mode: through a gate of 16 bytes, to 64-bit code (Intel SDM volume 3A, 6.14).
    fn deliver_in_long_mode(&mut self, vector: u8, code: Option<u16>, source: Source) -> Step {
        let gate = self.gate(vector, 16, source)?;
        if !matches!(gate.kind(), INTERRUPT_GATE_32 | TRAP_GATE_32) {
            return Err(fault_code(GP, error_code(vector)));
        }
        let offset = gate.gate_offset() | (self.upper_half(gate)? & 0xFFFF_FFFF) << 32;
        let (target, selector) = self.handler(gate)?;
        // L, and not D.
        if !target.rights().has(Rights::LONG) || target.rights().has(Rights::BIG) {
            return Err(fault_code(GP, code_of(selector)));
        }
        let frame = self.frame(source);
        let level = if target.is_conforming() { self.cpl } else { target.dpl() };
        let stack = gate.low >> 32 & 7;
        // The stack is 64-bit code's from here on.
        self.bits = 64;
        if stack != 0 {
            let pointer = self.stack_in_long_task(0x1C + 8 * stack)?;
            if level < self.cpl { self.null_stack(level, pointer)? } else { self.set_stack_pointer(pointer) }
        } else if level < self.cpl {
            self.inner_stack(level)?;
        }
        self.cpl = level;
        let aligned = self.state.general[reg::RSP] & !0xF;
        self.set_stack_pointer(aligned);
        self.push(8, frame.ss.into())?;
        self.push(8, frame.sp)?;
        self.push_frame(8, &frame, code)?;
        self.enter_code(target, selector, offset, level)?;
        self.mask_flags(gate.kind() & 1 == 0);
        Ok(())
    }

    /// Reads and checks the gate of a vector.
    fn gate(&mut self, vector: u8, size: u64, source: Source) -> Step<Descriptor> {
        let at = size * u64::from(vector);
        if at + size - 1 > self.state.idt.limit.into() {
            return Err(fault_code(GP, error_code(vector)));
        }
        let at = self.table_address(self.state.idt.base.wrapping_add(at));
        let gate = Descriptor { low: self.read_linear(at, 8, Access::SYSTEM_READ)?, at };
        let is_gate = !gate.is_segment() && matches!(gate.kind(), 5..=7 | 14 | 15);
        if !is_gate || source == Source::Software && gate.dpl() < self.cpl {
            return Err(fault_code(GP, error_code(vector)));
        }
        if !gate.is_present() {
            return Err(fault_code(NP, error_code(vector)));
        }
        Ok(gate)
    }

    /// Returns the handler's code segment.
    fn handler(&mut self, gate: Descriptor) -> Step<(Descriptor, u16)> {
        let selector = gate.gate_selector();
        if selector & !3 == 0 {
            return Err(gp0());
        }
        let code = self.descriptor(selector, GP)?;
        if !code.is_code() || code.dpl() > self.cpl {
            return Err(fault_code(GP, code_of(selector)));
        }
        if !code.is_present() {
            return Err(fault_code(NP, code_of(selector)));
        }
        Ok((code, selector))
    }

    /// Returns the values to push. RF is set for a fault, so that the instruction then passes its breakpoint (Intel SDM
    /// volume 3B, 17.3.1.1).
    fn frame(&self, source: Source) -> Frame {
        let resumes = if source == Source::Fault { flags::RF } else { 0 };
        Frame {
            ss: self.state.segments[seg::SS].selector,
            sp: self.state.general[reg::RSP],
            flags: self.flags.get() | resumes,
            cs: self.state.segments[seg::CS].selector,
            ip: self.state.ip,
        }
    }

    /// Pushes the data segments of virtual-8086 code, the outer stack, and the rest of the frame.
    fn push_outer_frame(&mut self, size: u8, data: &[u16], frame: &Frame, code: Option<u16>) -> Step {
        for &selector in data {
            self.push(size, selector.into())?;
        }
        self.push(size, frame.ss.into())?;
        self.push(size, frame.sp)?;
        self.push_frame(size, frame, code)
    }

    fn push_frame(&mut self, size: u8, frame: &Frame, code: Option<u16>) -> Step {
        self.push(size, frame.flags)?;
        self.push(size, frame.cs.into())?;
        self.push(size, frame.ip)?;
        code.map_or(Ok(()), |code| self.push(size, code.into()))
    }

    /// Clears the flags that a handler begins without (Intel SDM volume 3A, 6.12.1.3).
    fn mask_flags(&mut self, is_interrupt_gate: bool) {
        self.flags.put(flags::TF | flags::NT | flags::RF | flags::VM, false);
        if is_interrupt_gate {
            self.flags.put(flags::IF, false);
        }
        self.refresh();
    }

    /// Makes all data segments null, as an interrupt of virtual-8086 code does.
    fn forget_all_data(&mut self) {
        for index in [seg::ES, seg::DS, seg::FS, seg::GS] {
            self.state.segments[index] =
                guestlab_cpu::Segment { rights: Rights::UNUSABLE, ..Default::default() };
        }
        self.refresh();
    }

    fn software_interrupt(&mut self, vector: u8) -> Step {
        if self.flags.has(flags::VM) && self.io_privilege() < 3 && vector != BP && vector != OF {
            return Err(gp0());
        }
        self.deliver(vector, None, Source::Software)
    }

    pub(crate) fn int(&mut self, op: &Op) -> Step {
        self.software_interrupt(op.imm as u8)
    }

    pub(crate) fn int3(&mut self, _: &Op) -> Step {
        self.software_interrupt(BP)
    }

    /// INT1 is an exception to all but its pushed address: the gate's privilege is not checked.
    pub(crate) fn int1(&mut self, _: &Op) -> Step {
        self.deliver(DB, None, Source::Hardware)
    }

    pub(crate) fn into(&mut self, _: &Op) -> Step {
        if self.flags.overflow() { self.software_interrupt(OF) } else { Ok(()) }
    }

    /// IRET, IRETD and IRETQ.
    pub(crate) fn iret(&mut self, op: &Op) -> Step {
        let size: u8 = match op.insn.code() {
            Code::Iretw => 2,
            Code::Iretd => 4,
            _ => 8,
        };
        let before = self.state.clone();
        let flags = self.flags;
        let outcome = self.return_from_interrupt(size);
        if outcome.is_err() && !self.switched {
            (self.state, self.flags) = (before, flags);
            self.refresh();
        }
        outcome
    }

    fn return_from_interrupt(&mut self, size: u8) -> Step {
        // NT means nothing in real and virtual-8086 mode, and long mode has no tasks to return to.
        if !self.has_paragraphs() && self.flags.has(flags::NT) {
            return if self.state.is_long() { Err(gp0()) } else { self.return_from_task() };
        }
        self.check_io_privilege_in_v86()?;
        let width = u64::from(size);
        let ip = self.peek(size, 0)?;
        let selector = self.peek(size, width)? as u16;
        let new_flags = self.peek(size, 2 * width)?;
        if self.has_paragraphs() {
            if ip > self.state.segments[seg::CS].limit.into() {
                return Err(gp0());
            }
            self.drop_stack(3 * width);
            let code = self.state.segments[seg::CS];
            self.state.segments[seg::CS] = self.paragraph(code, selector);
            self.state.ip = ip;
            let cpl = self.cpl;
            self.load_flags_of_return(new_flags, size, cpl);
            return Ok(());
        }
        if new_flags & flags::VM != 0 && self.cpl == 0 && size == 4 && !self.state.is_long() {
            return self.return_to_v86(ip, selector, new_flags);
        }
        let cpl = self.cpl;
        if self.bits == 64 {
            return self.return_in_long_mode(size, ip, selector, new_flags);
        }
        self.return_to(selector, ip, size, 3 * width, 0)?;
        self.load_flags_of_return(new_flags, size, cpl);
        Ok(())
    }

    /// 64-bit code pops the stack pointer always.
    fn return_in_long_mode(&mut self, size: u8, ip: u64, selector: u16, new_flags: u64) -> Step {
        let width = u64::from(size);
        let pointer = self.peek(size, 3 * width)?;
        let stack = self.peek(size, 4 * width)? as u16;
        let cpl = self.cpl;
        let rpl = (selector & 3) as u8;
        if rpl > cpl {
            self.return_to(selector, ip, size, 3 * width, 0)?;
        } else {
            self.return_to(selector, ip, size, 0, 0)?;
            self.set_outer_stack_of_same_level(stack, pointer, rpl)?;
        }
        self.load_flags_of_return(new_flags, size, cpl);
        Ok(())
    }

    fn set_outer_stack_of_same_level(&mut self, selector: u16, pointer: u64, level: u8) -> Step {
        if selector & !3 == 0 {
            return if level < 3 && self.bits == 64 { self.null_stack(level, pointer) } else { Err(gp0()) };
        }
        self.set_stack(selector, pointer, level, GP)
    }

    /// Returns to virtual-8086 mode: nine values are on the stack (Intel SDM volume 3B, 22.2.5).
    fn return_to_v86(&mut self, ip: u64, selector: u16, new_flags: u64) -> Step {
        let mut values = [0; 6];
        for (index, value) in (0..).zip(&mut values) {
            *value = self.peek(4, 12 + 4 * index)?;
        }
        let [sp, ss, es, ds, fs, gs] = values;
        self.flags.set(new_flags & flags::ALL | 2);
        self.state.ip = ip & 0xFFFF;
        self.state.general[reg::RSP] = sp;
        let selectors = [es, selector.into(), ss, ds, fs, gs];
        for (segment, selector) in selectors.into_iter().enumerate() {
            self.state.segments[segment] = self.paragraph(self.state.segments[segment], selector as u16);
        }
        self.refresh();
        Ok(())
    }

    /// Loads the flags that IRET may change; unlike POPF it loads RF, too.
    fn load_flags_of_return(&mut self, value: u64, size: u8, cpl: u8) {
        let mut may_change = self.changeable_flags(size, cpl);
        if size > 2 && cpl == 0 && self.state.is_protected() {
            may_change |= flags::VIF | flags::VIP;
        }
        let kept = self.flags.get() & !may_change;
        self.flags.set(kept | value & may_change | 2);
        self.refresh();
    }
}

/// The values that the delivery of an interrupt pushes.
struct Frame {
    ss: u16,
    sp: u64,
    flags: u64,
    cs: u16,
    ip: u64,
}

/// Returns the error code that names a vector.
fn error_code(vector: u8) -> u16 {
    u16::from(vector) << 3 | 2
}

/// Returns true if two exceptions make a double fault (Intel SDM volume 3A, table 6-5).
fn is_double(first: Fault, second: Fault) -> bool {
    match first.vector {
        PF => second.vector == PF || second.is_contributory(),
        _ => first.is_contributory() && second.is_contributory(),
    }
}
