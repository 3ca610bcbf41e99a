//! Task switches (Intel SDM volume 3A, chapter 7).

use guestlab_cpu::{Rights, Segment, state::seg};
use x86_64::registers::control::Cr0Flags;

use crate::{
    access::Access,
    cpu::SoftCpu,
    debug::BT,
    fault::{GP, NP, Step, TS, fault_code},
    flags,
    points::Owner,
    segments::{BUSY, Descriptor, LDT, TASK_GATE, TSS_16, TSS_32, code_of},
};

/// The cause of a task switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Jump,
    Call,
    Interrupt,
    Return,
}

/// The place of the T flag.
const TRAP: u64 = 0x64;

/// The places of a task state segment's fields (Intel SDM volume 3A, 7.2.1 and 7.6).
struct Layout {
    size: u8,
    least_limit: u32,
    cr3: Option<u64>,
    ip: u64,
    flags: u64,
    general: u64,
    segments: u64,
    segment_step: u64,
    segment_count: usize,
    ldt: u64,
}

const WIDE: Layout = Layout {
    size: 4,
    least_limit: 0x67,
    cr3: Some(0x1C),
    ip: 0x20,
    flags: 0x24,
    general: 0x28,
    segments: 0x48,
    segment_step: 4,
    segment_count: 6,
    ldt: 0x60,
};

const NARROW: Layout = Layout {
    size: 2,
    least_limit: 0x2B,
    cr3: None,
    ip: 0x0E,
    flags: 0x10,
    general: 0x12,
    segments: 0x22,
    segment_step: 2,
    segment_count: 4,
    ldt: 0x2A,
};

fn layout(kind: u8) -> &'static Layout {
    if kind & 8 != 0 { &WIDE } else { &NARROW }
}

impl SoftCpu {
    /// Switches to the task of a task gate or of a task state segment's descriptor.
    pub(crate) fn switch_by(&mut self, descriptor: Descriptor, selector: u16, cause: Cause) -> Step {
        let wrong = |selector| fault_code(GP, code_of(selector));
        if self.state.is_long() {
            return Err(wrong(selector));
        }
        if cause != Cause::Interrupt {
            let rpl = (selector & 3) as u8;
            if descriptor.dpl() < self.cpl.max(rpl) {
                return Err(wrong(selector));
            }
        }
        if descriptor.kind() != TASK_GATE {
            return self.switch_to(descriptor, selector, cause);
        }
        if !descriptor.is_present() {
            return Err(fault_code(NP, code_of(selector)));
        }
        let task = descriptor.gate_selector();
        if task & 4 != 0 {
            return Err(wrong(task));
        }
        let found = self.descriptor(task, GP)?;
        if found.is_segment() || !matches!(found.kind(), TSS_16 | TSS_32) {
            return Err(wrong(task));
        }
        self.switch_to(found, task, cause)
    }

    /// IRET with NT set: returns to the task that the current one's link names.
    pub(crate) fn return_from_task(&mut self) -> Step {
        let link = self.read_linear(self.state.tr.base, 2, Access::SYSTEM_READ)? as u16;
        let wrong = fault_code(TS, code_of(link));
        if link & 4 != 0 {
            return Err(wrong);
        }
        let task = self.descriptor(link, TS)?;
        if task.is_segment() || task.kind() & !8 != TSS_16 | BUSY {
            return Err(wrong);
        }
        self.switch_to(task, link, Cause::Return)
    }

    fn switch_to(&mut self, task: Descriptor, selector: u16, cause: Cause) -> Step {
        let new = layout(task.kind());
        if !task.is_present() {
            return Err(fault_code(NP, code_of(selector)));
        }
        if task.limit() < new.least_limit {
            return Err(fault_code(TS, code_of(selector)));
        }
        let values = self.read_task(new, task.base())?;
        self.save_task(cause)?;
        if matches!(cause, Cause::Call | Cause::Interrupt) {
            self.write_linear(task.base(), 2, self.state.tr.selector.into(), Access::SYSTEM_WRITE)?;
        }
        if cause != Cause::Return {
            self.set_busy(task.at, true)?;
        }
        let outcome = self.load_task(new, &values, task, selector, cause);
        self.switched = outcome.is_err();
        outcome
    }

    /// Reads all fields of a task state segment.
    fn read_task(&mut self, layout: &Layout, base: u64) -> Step<Task> {
        let mut read = |at: u64, size: u8| self.read_linear(base.wrapping_add(at), size, Access::SYSTEM_READ);
        let mut task = Task {
            cr3: layout.cr3.map(|at| read(at, 4)).transpose()?,
            ip: read(layout.ip, layout.size)?,
            flags: read(layout.flags, layout.size)?,
            ldt: read(layout.ldt, 2)? as u16,
            general: [0; 8],
            segments: [0; 6],
            traps: layout.size == 4 && read(TRAP, 1)? & 1 != 0,
        };
        for (index, value) in (0..).zip(&mut task.general) {
            *value = read(layout.general + index * u64::from(layout.size), layout.size)?;
        }
        for (index, value) in (0..).zip(&mut task.segments[..layout.segment_count]) {
            *value = read(layout.segments + index * layout.segment_step, 2)? as u16;
        }
        Ok(task)
    }

    /// Writes the state of the current task into its segment, and sees to its busy bit.
    fn save_task(&mut self, cause: Cause) -> Step {
        let (base, kind) = (self.state.tr.base, (self.state.tr.rights.0 & 0xF) as u8);
        let old = layout(kind);
        let mut flags = self.flags.get();
        if cause == Cause::Return {
            flags &= !flags::NT;
        }
        let mut fields = [(0, 0, 0); 16];
        let mut count = 0;
        let mut add = |at: u64, size: u8, value: u64| {
            fields[count] = (at, size, value);
            count += 1;
        };
        add(old.ip, old.size, self.state.ip);
        add(old.flags, old.size, flags);
        for (index, value) in (0..).zip(&self.state.general[..8]) {
            add(old.general + index * u64::from(old.size), old.size, *value);
        }
        for (index, segment) in (0..).zip(&self.state.segments[..old.segment_count]) {
            add(old.segments + index * old.segment_step, 2, segment.selector.into());
        }
        for &(at, size, value) in &fields[..count] {
            self.write_linear(base.wrapping_add(at), size, value, Access::SYSTEM_WRITE)?;
        }
        if matches!(cause, Cause::Jump | Cause::Return) {
            let index = u64::from(self.state.tr.selector & !7);
            let at = self.state.gdt.base.wrapping_add(index);
            self.set_busy(at, false)?;
        }
        Ok(())
    }

    fn set_busy(&mut self, descriptor: u64, busy: bool) -> Step {
        let at = descriptor.wrapping_add(5);
        let byte = self.read_linear(at, 1, Access::SYSTEM_READ)?;
        let byte = if busy { byte | u64::from(BUSY) } else { byte & !u64::from(BUSY) };
        self.write_linear(at, 1, byte, Access::SYSTEM_WRITE)
    }

    /// Loads the new task. From here on exceptions are raised in its context.
    fn load_task(
        &mut self,
        layout: &Layout,
        task: &Task,
        descriptor: Descriptor,
        selector: u16,
        cause: Cause,
    ) -> Step {
        let rights = Rights(descriptor.rights().0 | u32::from(BUSY));
        self.state.tr = Segment { rights, ..descriptor.segment(selector) };
        self.state.cr0 |= Cr0Flags::TASK_SWITCHED.bits();
        self.state.ip = task.ip;
        for (register, value) in self.state.general.iter_mut().zip(task.general) {
            // A 16-bit task has no upper halves: a 386 fills them with ones.
            *register = if layout.size == 4 { value } else { 0xFFFF_0000 | value };
        }
        let mut flags = task.flags & flags::ALL | 2;
        if matches!(cause, Cause::Call | Cause::Interrupt) {
            flags |= flags::NT;
        }
        self.flags.set(flags);
        self.leave_local_points(task.traps);
        for (segment, selector) in self.state.segments.iter_mut().zip(task.segments) {
            *segment = Segment { selector, rights: Rights::UNUSABLE, base: 0, limit: 0 };
        }
        // The privilege is that of CS (7.3), also while there is no stack yet.
        let cpl = u32::from(task.segments[seg::CS] & 3);
        self.state.segments[seg::SS].rights = Rights(cpl << 5).with(Rights::UNUSABLE);
        self.refresh();
        if let Some(cr3) = task.cr3.filter(|&cr3| self.has_paging && cr3 != self.state.cr3) {
            self.load_cr3(cr3)?;
        }
        self.load_task_ldt(task.ldt)?;
        if flags & flags::VM != 0 {
            for (segment, selector) in (0..).zip(task.segments) {
                self.state.segments[segment] = self.paragraph(self.state.segments[segment], selector);
            }
            self.refresh();
            return Ok(());
        }
        self.load_task_segments(task)
    }

    /// Clears the local enable bits of DR7, and arranges for the debug exception that the new task asks for by its T flag
    /// (Intel SDM volume 3B, 17.2.4 and 17.3.1.5).
    fn leave_local_points(&mut self, traps: bool) {
        const LOCAL: u64 = 0x55;
        if self.state.debug[7] & LOCAL != 0 {
            self.state.debug[7] &= !LOCAL;
            self.find_points();
        }
        if traps {
            self.points.meet(Owner::Guest(BT));
        }
    }

    fn load_task_ldt(&mut self, selector: u16) -> Step {
        self.state.ldt = Segment { selector, rights: Rights::UNUSABLE, base: 0, limit: 0 };
        if selector & !3 == 0 {
            return Ok(());
        }
        let wrong = fault_code(TS, code_of(selector));
        if selector & 4 != 0 {
            return Err(wrong);
        }
        let table = self.descriptor(selector, TS)?;
        if table.is_segment() || table.kind() != LDT || !table.is_present() {
            return Err(wrong);
        }
        self.state.ldt = table.segment(selector);
        Ok(())
    }

    fn load_task_segments(&mut self, task: &Task) -> Step {
        let code_selector = task.segments[seg::CS];
        let cpl = (code_selector & 3) as u8;
        self.cpl = cpl;
        let wrong = fault_code(TS, code_of(code_selector));
        if code_selector & !3 == 0 {
            return Err(wrong);
        }
        let code = self.descriptor(code_selector, TS)?;
        let is_allowed = match code.is_conforming() {
            true => code.dpl() <= cpl,
            false => code.dpl() == cpl,
        };
        if !code.is_code() || !is_allowed {
            return Err(wrong);
        }
        if !code.is_present() {
            return Err(fault_code(NP, code_of(code_selector)));
        }
        self.set_code_segment(code, code_selector, cpl)?;
        self.load_segment_as(seg::SS, task.segments[seg::SS], cpl, TS)?;
        for index in [seg::ES, seg::DS, seg::FS, seg::GS] {
            self.load_segment_as(index, task.segments[index], cpl, TS)?;
        }
        if self.state.ip > self.state.segments[seg::CS].limit.into() {
            return Err(fault_code(GP, 0));
        }
        Ok(())
    }
}

/// The fields of a task state segment.
struct Task {
    cr3: Option<u64>,
    ip: u64,
    flags: u64,
    general: [u64; 8],
    segments: [u16; 6],
    ldt: u16,
    /// Its first instruction is preceded by a debug exception.
    traps: bool,
}
