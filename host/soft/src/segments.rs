//! Descriptors, and loading of segment registers (Intel SDM volume 3A, 3.4 and 5.6 to 5.8).

use guestlab_cpu::{Rights, Segment, state::seg};

use crate::{
    access::Access,
    cpu::Op,
    cpu::SoftCpu,
    fault::{GP, NP, SS, Step, fault_code, gp0},
    flags,
};

/// A descriptor of the global or local table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// The lower 8 bytes.
    pub(crate) low: u64,
    /// The linear address of the descriptor.
    pub(crate) at: u64,
}

/// Types of system descriptors (Intel SDM volume 3A, table 3-2).
pub(crate) const TSS_16: u8 = 0x1;
pub(crate) const LDT: u8 = 0x2;
pub(crate) const CALL_GATE_16: u8 = 0x4;
pub(crate) const TASK_GATE: u8 = 0x5;
pub(crate) const INTERRUPT_GATE_16: u8 = 0x6;
pub(crate) const TRAP_GATE_16: u8 = 0x7;
pub(crate) const TSS_32: u8 = 0x9;
pub(crate) const CALL_GATE_32: u8 = 0xC;
pub(crate) const INTERRUPT_GATE_32: u8 = 0xE;
pub(crate) const TRAP_GATE_32: u8 = 0xF;
/// The bit that makes a TSS a busy one.
pub(crate) const BUSY: u8 = 0x2;

impl Descriptor {
    pub(crate) fn rights(self) -> Rights {
        Rights::from_descriptor(self.low)
    }

    /// Returns the four bits of the type.
    pub(crate) fn kind(self) -> u8 {
        (self.low >> 40 & 0xF) as u8
    }

    /// Returns true for a segment of code or data.
    pub(crate) fn is_segment(self) -> bool {
        self.rights().has(Rights::CODE_OR_DATA)
    }

    pub(crate) fn is_code(self) -> bool {
        self.is_segment() && self.rights().has(Rights::EXECUTABLE)
    }

    /// Returns true for conforming code.
    pub(crate) fn is_conforming(self) -> bool {
        self.is_code() && self.rights().has(Rights::CONFORMING)
    }

    pub(crate) fn is_present(self) -> bool {
        self.rights().has(Rights::PRESENT)
    }

    pub(crate) fn dpl(self) -> u8 {
        self.rights().privilege()
    }

    pub(crate) fn base(self) -> u64 {
        self.low >> 16 & 0xFF_FFFF | self.low >> 32 & 0xFF00_0000
    }

    /// Returns the limit in bytes.
    pub(crate) fn limit(self) -> u32 {
        let limit = (self.low & 0xFFFF | self.low >> 32 & 0xF_0000) as u32;
        if self.rights().has(Rights::GRANULAR) { limit << 12 | 0xFFF } else { limit }
    }

    /// Returns the segment register that a selector loads of this descriptor.
    pub(crate) fn segment(self, selector: u16) -> Segment {
        Segment { selector, base: self.base(), limit: self.limit(), rights: self.rights() }
    }

    /// Returns a gate's selector.
    pub(crate) fn gate_selector(self) -> u16 {
        (self.low >> 16) as u16
    }

    /// Returns a gate's offset, of 16 or 32 bits.
    pub(crate) fn gate_offset(self) -> u64 {
        let low = self.low & 0xFFFF;
        if self.kind() & 8 != 0 { low | self.low >> 32 & 0xFFFF_0000 } else { low }
    }
}

/// Returns the error code that names a selector.
pub(crate) fn code_of(selector: u16) -> u16 {
    selector & !3
}

impl SoftCpu {
    /// Returns true if selectors are paragraphs: in real and in virtual-8086 mode.
    pub(crate) fn has_paragraphs(&self) -> bool {
        !self.state.is_protected() || self.flags.has(flags::VM)
    }

    /// Reads the descriptor of a selector, from the global or the local table. `vector` is the exception for a selector
    /// beyond its table.
    pub(crate) fn descriptor(&mut self, selector: u16, vector: u8) -> Step<Descriptor> {
        let (base, limit) = match selector & 4 {
            0 => (self.state.gdt.base, u32::from(self.state.gdt.limit)),
            _ if self.state.ldt.rights.has(Rights::UNUSABLE)
                || !self.state.ldt.rights.has(Rights::PRESENT) =>
            {
                return Err(fault_code(vector, code_of(selector)));
            }
            _ => (self.state.ldt.base, self.state.ldt.limit),
        };
        let index = u64::from(selector & !7);
        if index + 7 > u64::from(limit) {
            return Err(fault_code(vector, code_of(selector)));
        }
        let at = self.table_address(base.wrapping_add(index));
        Ok(Descriptor { low: self.read_linear(at, 8, Access::SYSTEM_READ)?, at })
    }

    /// Linear addresses outside of long mode have 32 bits.
    pub(crate) fn table_address(&self, linear: u64) -> u64 {
        if self.state.is_long() { linear } else { linear & u64::from(u32::MAX) }
    }

    /// Reads the upper 8 bytes of a system descriptor of long mode.
    pub(crate) fn upper_half(&mut self, descriptor: Descriptor) -> Step<u64> {
        self.read_linear(descriptor.at.wrapping_add(8), 8, Access::SYSTEM_READ)
    }

    /// Sets the accessed bit of a descriptor that is loaded.
    pub(crate) fn mark_accessed(&mut self, descriptor: &mut Descriptor) -> Step {
        const ACCESSED: u64 = 1 << 40;
        if descriptor.low & ACCESSED == 0 {
            descriptor.low |= ACCESSED;
            let byte = descriptor.low >> 40 & 0xFF;
            self.write_linear(descriptor.at.wrapping_add(5), 1, byte, Access::SYSTEM_WRITE)?;
        }
        Ok(())
    }

    /// Loads a segment register other than CS.
    pub(crate) fn load_segment(&mut self, index: usize, selector: u16) -> Step {
        self.load_segment_as(index, selector, self.cpl, GP)
    }

    /// Loads a segment register for code of this privilege. `vector` is the exception for a wrong selector: #GP, or
    /// #TS in a task switch.
    pub(crate) fn load_segment_as(&mut self, index: usize, selector: u16, cpl: u8, vector: u8) -> Step {
        if self.has_paragraphs() {
            self.state.segments[index] = self.paragraph(self.state.segments[index], selector);
            self.refresh();
            return Ok(());
        }
        let wrong = || fault_code(vector, code_of(selector));
        if selector & !3 == 0 {
            let allows_null =
                index != seg::SS || self.bits == 64 && cpl < 3 && selector & 3 == u16::from(cpl);
            if !allows_null {
                return Err(wrong());
            }
            let rights = match index == seg::SS {
                // The privilege is kept in the unusable segment.
                true => Rights(u32::from(cpl) << 5).with(Rights::UNUSABLE),
                false => Rights::UNUSABLE,
            };
            self.state.segments[index] = Segment { selector, rights, ..Segment::default() };
            self.refresh();
            return Ok(());
        }
        let mut descriptor = self.descriptor(selector, vector)?;
        let (rights, rpl) = (descriptor.rights(), (selector & 3) as u8);
        let is_data = descriptor.is_segment() && !descriptor.is_code();
        let is_allowed = match index {
            seg::SS => is_data && rights.has(Rights::WRITABLE) && rpl == cpl && descriptor.dpl() == cpl,
            _ => {
                let is_readable = is_data || descriptor.is_code() && rights.has(Rights::WRITABLE);
                let outranks = descriptor.is_conforming() || rpl.max(cpl) <= descriptor.dpl();
                is_readable && outranks
            }
        };
        if !is_allowed {
            return Err(wrong());
        }
        if !descriptor.is_present() {
            return Err(fault_code(if index == seg::SS { SS } else { NP }, code_of(selector)));
        }
        self.mark_accessed(&mut descriptor)?;
        self.state.segments[index] = descriptor.segment(selector);
        self.refresh();
        Ok(())
    }

    /// Returns a segment of real or virtual-8086 mode. Real mode keeps limit and rights (Intel SDM volume 3A, 9.9).
    pub(crate) fn paragraph(&self, old: Segment, selector: u16) -> Segment {
        let base = u64::from(selector) << 4;
        match self.flags.has(flags::VM) {
            false => Segment { selector, base, ..old },
            true => Segment { selector, base, limit: 0xFFFF, rights: Rights(0xF3) },
        }
    }

    /// Sets CS to a code segment, at this privilege.
    pub(crate) fn set_code_segment(&mut self, mut descriptor: Descriptor, selector: u16, cpl: u8) -> Step {
        self.mark_accessed(&mut descriptor)?;
        self.state.segments[seg::CS] = descriptor.segment(selector & !3 | u16::from(cpl));
        Ok(())
    }

    /// Reads the stack of a privilege level from the task state segment (Intel SDM volume 3A, 5.8.5).
    pub(crate) fn stack_of_level(&mut self, level: u8) -> Step<(u16, u64)> {
        let (task, level) = (self.state.tr, u64::from(level));
        let is_wide = task.rights.0 & 8 != 0;
        let (at, size) = if is_wide { (4 + 8 * level, 4_u8) } else { (2 + 4 * level, 2) };
        if at + u64::from(size) + 1 > u64::from(task.limit) {
            return Err(fault_code(crate::fault::TS, code_of(task.selector)));
        }
        let pointer = self.read_linear(task.base.wrapping_add(at), size, Access::SYSTEM_READ)?;
        let selector_at = task.base.wrapping_add(at + u64::from(size));
        Ok((self.read_linear(selector_at, 2, Access::SYSTEM_READ)? as u16, pointer))
    }

    /// Reads a stack pointer from the task state segment of long mode (Intel SDM volume 3A, 7.7).
    pub(crate) fn stack_in_long_task(&mut self, at: u64) -> Step<u64> {
        let task = self.state.tr;
        if at + 7 > u64::from(task.limit) {
            return Err(fault_code(crate::fault::TS, code_of(task.selector)));
        }
        self.read_linear(task.base.wrapping_add(at), 8, Access::SYSTEM_READ)
    }

    /// LAR, LSL, VERR and VERW: the descriptor of a selector, if the code may look at it.
    fn visible_descriptor(&mut self, selector: u16, system_kinds: &[u8]) -> Step<Option<Descriptor>> {
        if selector & !3 == 0 {
            return Ok(None);
        }
        let descriptor = match self.descriptor(selector, GP) {
            Ok(descriptor) => descriptor,
            Err(crate::fault::Event::Fault(fault)) if fault.vector == GP => return Ok(None),
            Err(event) => return Err(event),
        };
        let rpl = (selector & 3) as u8;
        let is_visible = descriptor.is_conforming() || rpl.max(self.cpl) <= descriptor.dpl();
        let is_known = descriptor.is_segment() || system_kinds.contains(&descriptor.kind());
        Ok(Some(descriptor).filter(|_| is_visible && is_known))
    }

    pub(crate) fn lar(&mut self, op: &Op) -> Step {
        let selector = self.get(op, op.from, 2)? as u16;
        let kinds: &[u8] = match self.state.is_long() {
            true => &[LDT, TSS_32, TSS_32 | BUSY, CALL_GATE_32],
            false => {
                &[TSS_16, LDT, TSS_16 | BUSY, CALL_GATE_16, TASK_GATE, TSS_32, TSS_32 | BUSY, CALL_GATE_32]
            }
        };
        let found = self.visible_descriptor(selector, kinds)?;
        if let Some(descriptor) = found {
            let mask = if op.size == 2 { 0xFF00 } else { 0xF0_FF00 };
            self.put(op, op.to, op.size, descriptor.low >> 32 & mask)?;
        }
        self.flags.put(flags::ZF, found.is_some());
        Ok(())
    }

    pub(crate) fn lsl(&mut self, op: &Op) -> Step {
        let selector = self.get(op, op.from, 2)? as u16;
        let kinds: &[u8] = match self.state.is_long() {
            true => &[LDT, TSS_32, TSS_32 | BUSY],
            false => &[TSS_16, LDT, TSS_16 | BUSY, TSS_32, TSS_32 | BUSY],
        };
        let found = self.visible_descriptor(selector, kinds)?;
        if let Some(descriptor) = found {
            self.put(op, op.to, op.size, descriptor.limit().into())?;
        }
        self.flags.put(flags::ZF, found.is_some());
        Ok(())
    }

    pub(crate) fn verr(&mut self, op: &Op) -> Step {
        let selector = self.get(op, op.to, 2)? as u16;
        let found = self.visible_descriptor(selector, &[])?;
        let is_readable =
            |it: Descriptor| it.is_segment() && (!it.is_code() || it.rights().has(Rights::WRITABLE));
        self.flags.put(flags::ZF, found.is_some_and(is_readable));
        Ok(())
    }

    pub(crate) fn verw(&mut self, op: &Op) -> Step {
        let selector = self.get(op, op.to, 2)? as u16;
        let found = self.visible_descriptor(selector, &[])?;
        let is_writable =
            |it: Descriptor| it.is_segment() && !it.is_code() && it.rights().has(Rights::WRITABLE);
        self.flags.put(flags::ZF, found.is_some_and(is_writable));
        Ok(())
    }

    /// ARPL: the requested privilege of a selector is raised to that of another. One that stays is not written, so it can
    /// be where nothing may be written.
    pub(crate) fn arpl(&mut self, op: &Op) -> Step {
        let to = self.get(op, op.to, 2)?;
        let from = self.get(op, op.from, 2)?;
        let is_lower = to & 3 < from & 3;
        if is_lower {
            self.put(op, op.to, 2, to & !3 | from & 3)?;
        }
        self.flags.put(flags::ZF, is_lower);
        Ok(())
    }

    /// Raises #GP unless the code has privilege 0.
    pub(crate) fn privileged(&self) -> Step {
        if self.cpl == 0 { Ok(()) } else { Err(gp0()) }
    }
}
