//! System instructions: control registers, tables, model-specific registers, CPUID (Intel SDM volume 3A, 2.8).

use guestlab_cpu::{
    CpuState, Exit, Rights, Segment, Table,
    state::{reg, seg},
};
use iced_x86::{Mnemonic, Register};
use x86_64::registers::control::{Cr0Flags, Cr4Flags, EferFlags};

use crate::{
    access::PHYSICAL_BITS,
    cpu::Op,
    cpu::SoftCpu,
    fault::{Event, GP, NP, Step, fault_code, gp0, ud},
    flags,
    operand::number,
    segments::{BUSY, LDT, TSS_16, code_of},
};

impl SoftCpu {
    pub(crate) fn hlt(&mut self, _: &Op) -> Step {
        self.privileged()?;
        self.exit = Some(Exit::Halt { interrupts: self.flags.has(flags::IF) });
        Err(Event::Exit)
    }

    /// CLI and STI, by the current privilege (Intel SDM volume 2A, "CLI").
    fn check_interrupt_flag(&self) -> Step {
        let is_allowed = !self.state.is_protected() || self.cpl <= self.io_privilege();
        if is_allowed { Ok(()) } else { Err(gp0()) }
    }

    pub(crate) fn cli(&mut self, _: &Op) -> Step {
        self.check_interrupt_flag()?;
        self.flags.put(flags::IF, false);
        Ok(())
    }

    pub(crate) fn sti(&mut self, _: &Op) -> Step {
        self.check_interrupt_flag()?;
        // Interrupts come only after the next instruction.
        self.state.shadow |= !self.flags.has(flags::IF);
        self.flags.put(flags::IF, true);
        self.stale = true;
        Ok(())
    }

    /// CLAC and STAC (Intel SDM volume 2A and 2B): the supervisor forbids and allows itself to use pages of users.
    pub(crate) fn change_access(&mut self, op: &Op) -> Step {
        if self.cpl > 0 {
            return Err(ud());
        }
        self.flags.put(flags::AC, op.insn.mnemonic() == Mnemonic::Stac);
        self.refresh();
        Ok(())
    }

    pub(crate) fn clc(&mut self, _: &Op) -> Step {
        self.flags.put(flags::CF, false);
        Ok(())
    }

    pub(crate) fn stc(&mut self, _: &Op) -> Step {
        self.flags.put(flags::CF, true);
        Ok(())
    }

    pub(crate) fn cmc(&mut self, _: &Op) -> Step {
        let carry = self.flags.carry();
        self.flags.put(flags::CF, !carry);
        Ok(())
    }

    pub(crate) fn cld(&mut self, _: &Op) -> Step {
        self.flags.put(flags::DF, false);
        Ok(())
    }

    pub(crate) fn std(&mut self, _: &Op) -> Step {
        self.flags.put(flags::DF, true);
        Ok(())
    }

    /// LGDT and LIDT. With 16-bit operands the base has 24 bits (Intel SDM volume 2A, "LGDT").
    fn load_table(&mut self, op: &Op) -> Step<Table> {
        self.privileged()?;
        let offset = self.offset(&op.mem);
        let limit = self.read(op.mem.segment, offset, 2)? as u16;
        let size = if self.bits == 64 { 8 } else { 4 };
        let base = self.read(op.mem.segment, offset.wrapping_add(2) & op.mem.mask, size)?;
        if self.bits == 64 && !self.is_canonical(base) {
            return Err(gp0());
        }
        let is_short =
            matches!(op.insn.mnemonic(), Mnemonic::Lgdt | Mnemonic::Lidt) && self.is_16_bit_operand(op);
        Ok(Table { base: if is_short { base & 0xFF_FFFF } else { base }, limit })
    }

    fn is_16_bit_operand(&self, op: &Op) -> bool {
        use iced_x86::Code;
        matches!(op.insn.code(), Code::Lgdt_m1632_16 | Code::Lidt_m1632_16)
    }

    pub(crate) fn lgdt(&mut self, op: &Op) -> Step {
        self.state.gdt = self.load_table(op)?;
        Ok(())
    }

    pub(crate) fn lidt(&mut self, op: &Op) -> Step {
        self.state.idt = self.load_table(op)?;
        Ok(())
    }

    fn store_table(&mut self, op: &Op, table: Table) -> Step {
        let offset = self.offset(&op.mem);
        let size = if self.bits == 64 { 8 } else { 4 };
        self.write(op.mem.segment, offset, 2, table.limit.into())?;
        self.write(op.mem.segment, offset.wrapping_add(2) & op.mem.mask, size, table.base)
    }

    pub(crate) fn sgdt(&mut self, op: &Op) -> Step {
        self.store_table(op, self.state.gdt)
    }

    pub(crate) fn sidt(&mut self, op: &Op) -> Step {
        self.store_table(op, self.state.idt)
    }

    /// SLDT and STR: the selector, without more bits in memory.
    fn store_selector(&mut self, op: &Op, selector: u16) -> Step {
        if self.has_paragraphs() {
            return Err(ud());
        }
        let size = if op.to == crate::cpu::Operand::Memory { 2 } else { op.size };
        self.put(op, op.to, size, selector.into())
    }

    pub(crate) fn sldt(&mut self, op: &Op) -> Step {
        self.store_selector(op, self.state.ldt.selector)
    }

    pub(crate) fn str(&mut self, op: &Op) -> Step {
        self.store_selector(op, self.state.tr.selector)
    }

    /// Reads the descriptor that LLDT or LTR loads.
    fn system_segment(&mut self, op: &Op) -> Step<Option<(crate::segments::Descriptor, u16, u64)>> {
        if self.has_paragraphs() {
            return Err(ud());
        }
        self.privileged()?;
        let selector = self.get(op, op.to, 2)? as u16;
        if selector & !3 == 0 {
            return Ok(None);
        }
        if selector & 4 != 0 {
            return Err(fault_code(GP, code_of(selector)));
        }
        let descriptor = self.descriptor(selector, GP)?;
        let upper = if self.state.is_long() { self.upper_half(descriptor)? << 32 } else { 0 };
        Ok(Some((descriptor, selector, upper)))
    }

    pub(crate) fn lldt(&mut self, op: &Op) -> Step {
        let Some((descriptor, selector, upper)) = self.system_segment(op)? else {
            let selector = self.get(op, op.to, 2)? as u16;
            self.state.ldt = Segment { selector, rights: Rights::UNUSABLE, base: 0, limit: 0 };
            return Ok(());
        };
        if descriptor.is_segment() || descriptor.kind() != LDT {
            return Err(fault_code(GP, code_of(selector)));
        }
        if !descriptor.is_present() {
            return Err(fault_code(NP, code_of(selector)));
        }
        let segment = descriptor.segment(selector);
        self.state.ldt = Segment { base: segment.base | upper, ..segment };
        Ok(())
    }

    pub(crate) fn ltr(&mut self, op: &Op) -> Step {
        let Some((mut descriptor, selector, upper)) = self.system_segment(op)? else { return Err(gp0()) };
        let is_task = !descriptor.is_segment() && descriptor.kind() & !8 == TSS_16;
        if !is_task || self.state.is_long() && descriptor.kind() & 8 == 0 {
            return Err(fault_code(GP, code_of(selector)));
        }
        if !descriptor.is_present() {
            return Err(fault_code(NP, code_of(selector)));
        }
        descriptor.low |= u64::from(BUSY) << 40;
        let byte = descriptor.low >> 40 & 0xFF;
        let at = descriptor.at.wrapping_add(5);
        self.write_linear(at, 1, byte, crate::access::Access::SYSTEM_WRITE)?;
        let segment = descriptor.segment(selector);
        self.state.tr = Segment { base: segment.base | upper, ..segment };
        Ok(())
    }

    pub(crate) fn smsw(&mut self, op: &Op) -> Step {
        let size = if op.to == crate::cpu::Operand::Memory { 2 } else { op.size };
        self.put(op, op.to, size, self.state.cr0)
    }

    /// LMSW: the low four bits of CR0; PE can be set but not cleared.
    pub(crate) fn lmsw(&mut self, op: &Op) -> Step {
        self.privileged()?;
        let value = self.get(op, op.to, 2)?;
        let protected = self.state.cr0 & 1;
        self.set_cr0(self.state.cr0 & !0xF | value & 0xF | protected)
    }

    pub(crate) fn clts(&mut self, _: &Op) -> Step {
        self.privileged()?;
        self.state.cr0 &= !Cr0Flags::TASK_SWITCHED.bits();
        Ok(())
    }

    pub(crate) fn invlpg(&mut self, _: &Op) -> Step {
        self.privileged()?;
        self.flush();
        Ok(())
    }

    pub(crate) fn wbinvd(&mut self, _: &Op) -> Step {
        self.privileged()
    }

    /// MOV to and from control and debug registers. The operand has the mode's full width.
    pub(crate) fn mov_system(&mut self, op: &Op) -> Step {
        self.privileged()?;
        let size = if self.bits == 64 { 8 } else { 4 };
        let (to, from) = (op.insn.op0_register(), op.insn.op1_register());
        if to.is_dr() || from.is_dr() {
            self.detect_access()?;
        }
        if to.is_gpr() {
            let value = if from.is_cr() { self.control(from)? } else { self.debug(from)? };
            self.set_register(number(to), size, value);
            return Ok(());
        }
        let value = self.register(number(from), size);
        if to.is_cr() { self.set_control(to, value) } else { self.set_debug(to, value) }
    }

    fn control(&self, register: Register) -> Step<u64> {
        Ok(match register {
            Register::CR0 => self.state.cr0,
            Register::CR2 => self.state.cr2,
            Register::CR3 => self.state.cr3,
            Register::CR4 => self.state.cr4,
            Register::CR8 => self.state.cr8,
            _ => return Err(ud()),
        })
    }

    fn set_control(&mut self, register: Register, value: u64) -> Step {
        match register {
            Register::CR0 => self.set_cr0(value)?,
            Register::CR2 => self.state.cr2 = value,
            // The bits above physical addresses are reserved.
            Register::CR3 if value >> PHYSICAL_BITS != 0 => return Err(gp0()),
            Register::CR3 => self.load_cr3(value)?,
            Register::CR4 => self.set_cr4(value)?,
            // The task priority holds nothing back without an interrupt controller. The other bits are reserved.
            Register::CR8 if value < 16 => self.state.cr8 = value,
            Register::CR8 => return Err(gp0()),
            _ => return Err(ud()),
        }
        Ok(())
    }

    /// Sets CR0. PG with EFER.LME activates long mode (Intel SDM volume 3A, 9.8.5).
    fn set_cr0(&mut self, value: u64) -> Step {
        if value > u32::MAX.into() {
            return Err(gp0());
        }
        let value = value | Cr0Flags::EXTENSION_TYPE.bits();
        let has = |flag: Cr0Flags| value & flag.bits() != 0;
        let is_impossible = has(Cr0Flags::PAGING) && !has(Cr0Flags::PROTECTED_MODE_ENABLE)
            || has(Cr0Flags::NOT_WRITE_THROUGH) && !has(Cr0Flags::CACHE_DISABLE);
        if is_impossible {
            return Err(gp0());
        }
        let wants_long = self.state.efer & EferFlags::LONG_MODE_ENABLE.bits() != 0;
        let mut next = CpuState { cr0: value, ..self.state.clone() };
        if has(Cr0Flags::PAGING) && !self.has_paging && wants_long {
            let pae = self.state.cr4 & Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits() != 0;
            if !pae || self.state.segments[seg::CS].rights.has(Rights::LONG) {
                return Err(gp0());
            }
            next.efer |= EferFlags::LONG_MODE_ACTIVE.bits();
        }
        if !has(Cr0Flags::PAGING) {
            if self.bits == 64 {
                return Err(gp0());
            }
            next.efer &= !EferFlags::LONG_MODE_ACTIVE.bits();
        }
        self.set_controls(next)
    }

    /// Sets CR0, CR4 and EFER.
    fn set_controls(&mut self, next: CpuState) -> Step {
        self.before_control(&next)?;
        self.state = next;
        self.flush();
        // CR4.DE decides on breakpoints.
        self.find_points();
        Ok(())
    }

    fn set_cr4(&mut self, value: u64) -> Step {
        let known = Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS
            .union(Cr4Flags::TIMESTAMP_DISABLE)
            .union(Cr4Flags::DEBUGGING_EXTENSIONS)
            .union(Cr4Flags::PAGE_SIZE_EXTENSION)
            .union(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION)
            .union(Cr4Flags::MACHINE_CHECK_EXCEPTION)
            .union(Cr4Flags::PAGE_GLOBAL)
            .union(Cr4Flags::OSFXSR)
            .union(Cr4Flags::OSXMMEXCPT_ENABLE)
            .union(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION)
            .union(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION);
        let pae = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits();
        if value & !known.bits() != 0 || self.state.is_long() && value & pae == 0 {
            return Err(gp0());
        }
        self.set_controls(CpuState { cr4: value, ..self.state.clone() })
    }

    /// DR4 and DR5 are DR6 and DR7, unless CR4.DE forbids it (Intel SDM volume 3B, 17.2.2).
    fn debug_index(&self, register: Register) -> Step<usize> {
        match register.number() {
            4 | 5 if self.state.cr4 & Cr4Flags::DEBUGGING_EXTENSIONS.bits() != 0 => Err(ud()),
            4 => Ok(6),
            5 => Ok(7),
            index @ 0..=7 => Ok(index),
            _ => Err(ud()),
        }
    }

    fn debug(&self, register: Register) -> Step<u64> {
        Ok(self.state.debug[self.debug_index(register)?])
    }

    fn set_debug(&mut self, register: Register, value: u64) -> Step {
        let index = self.debug_index(register)?;
        self.state.debug[index] = match index {
            6 => value & 0xE00F | 0xFFFF_0FF0,
            7 => value & 0xFFFF_2BFF | 0x400,
            _ => value,
        };
        self.find_points();
        Ok(())
    }

    /// RDTSC: the CPU's time in ticks.
    pub(crate) fn rdtsc(&mut self, op: &Op) -> Step {
        if self.cpl > 0 && self.state.cr4 & Cr4Flags::TIMESTAMP_DISABLE.bits() != 0 {
            return Err(gp0());
        }
        let ticks = self.read_time_stamp();
        self.put_pair(ticks);
        if op.insn.mnemonic() == Mnemonic::Rdtscp {
            self.set_register(reg::RCX as u8, 4, self.state.msrs.tsc_aux);
        }
        Ok(())
    }

    /// Writes EDX:EAX.
    fn put_pair(&mut self, value: u64) {
        self.set_register(reg::RAX as u8, 4, value);
        self.set_register(reg::RDX as u8, 4, value >> 32);
    }

    fn pair(&self) -> u64 {
        self.register(reg::RDX as u8, 4) << 32 | self.register(reg::RAX as u8, 4)
    }

    pub(crate) fn rdmsr(&mut self, _: &Op) -> Step {
        self.privileged()?;
        let number = self.register(reg::RCX as u8, 4);
        let ticks = if number == msr::TSC { self.read_time_stamp() } else { 0 };
        let msrs = &self.state.msrs;
        let value = match number {
            msr::TSC => ticks,
            msr::SYSENTER_CS => msrs.sysenter_cs,
            msr::SYSENTER_ESP => msrs.sysenter_esp,
            msr::SYSENTER_EIP => msrs.sysenter_eip,
            msr::EFER => self.state.efer,
            msr::STAR => msrs.star,
            msr::LSTAR => msrs.lstar,
            msr::CSTAR => msrs.cstar,
            msr::FMASK => msrs.fmask,
            msr::FS_BASE => self.state.segments[seg::FS].base,
            msr::GS_BASE => self.state.segments[seg::GS].base,
            msr::KERNEL_GS_BASE => msrs.kernel_gs_base,
            msr::TSC_AUX => msrs.tsc_aux,
            _ => return Err(gp0()),
        };
        self.put_pair(value);
        Ok(())
    }

    pub(crate) fn wrmsr(&mut self, _: &Op) -> Step {
        self.privileged()?;
        let (register, value) = (self.register(reg::RCX as u8, 4), self.pair());
        let is_address = matches!(
            register,
            msr::LSTAR
                | msr::CSTAR
                | msr::FS_BASE
                | msr::GS_BASE
                | msr::KERNEL_GS_BASE
                | msr::SYSENTER_ESP
                | msr::SYSENTER_EIP
        );
        if is_address && !self.is_canonical(value) {
            return Err(gp0());
        }
        let msrs = &mut self.state.msrs;
        match register {
            msr::SYSENTER_CS => msrs.sysenter_cs = value,
            msr::SYSENTER_ESP => msrs.sysenter_esp = value,
            msr::SYSENTER_EIP => msrs.sysenter_eip = value,
            msr::EFER => return self.set_efer(value),
            msr::STAR => msrs.star = value,
            msr::LSTAR => msrs.lstar = value,
            msr::CSTAR => msrs.cstar = value,
            msr::FMASK => msrs.fmask = value & 0xFFFF_FFFF,
            msr::FS_BASE => self.state.segments[seg::FS].base = value,
            msr::GS_BASE => self.state.segments[seg::GS].base = value,
            msr::KERNEL_GS_BASE => msrs.kernel_gs_base = value,
            msr::TSC_AUX => msrs.tsc_aux = value & 0xFFFF_FFFF,
            _ => return Err(gp0()),
        }
        Ok(())
    }

    fn set_efer(&mut self, value: u64) -> Step {
        let known = EferFlags::SYSTEM_CALL_EXTENSIONS
            .union(EferFlags::LONG_MODE_ENABLE)
            .union(EferFlags::LONG_MODE_ACTIVE)
            .union(EferFlags::NO_EXECUTE_ENABLE);
        let enable = EferFlags::LONG_MODE_ENABLE.bits();
        let changes_mode = (self.state.efer ^ value) & enable != 0;
        if value & !known.bits() != 0 || self.has_paging && changes_mode {
            return Err(gp0());
        }
        // LMA is the CPU's own.
        let active = EferFlags::LONG_MODE_ACTIVE.bits();
        self.state.efer = value & !active | self.state.efer & active;
        self.flush();
        self.refresh();
        Ok(())
    }

    pub(crate) fn swapgs(&mut self, _: &Op) -> Step {
        self.privileged()?;
        core::mem::swap(&mut self.state.segments[seg::GS].base, &mut self.state.msrs.kernel_gs_base);
        Ok(())
    }

    /// CPUID: a 64-bit CPU with what the interpreter has and nothing else (Intel SDM volume 2A, "CPUID").
    pub(crate) fn cpuid(&mut self, _: &Op) -> Step {
        let [a, b, c, d] = match self.register(reg::RAX as u8, 4) {
            0 => [7, 0x7365_7547, 0x7570_4362, 0x616C_7474],
            1 => [0x0000_0601, features::CACHE_LINE, features::ECX, features::EDX],
            7 if self.register(reg::RCX as u8, 4) == 0 => [0, features::SEVEN_EBX, 0, 0],
            0x8000_0000 => [0x8000_0008, 0, 0, 0],
            0x8000_0001 => [0, 0, 1, features::EXTENDED_EDX],
            0x8000_0008 => [48 << 8 | PHYSICAL_BITS, 0, 0, 0],
            _ => [0; 4],
        };
        for (register, value) in [(reg::RAX, a), (reg::RBX, b), (reg::RCX, c), (reg::RDX, d)] {
            self.set_register(register as u8, 4, u64::from(value));
        }
        Ok(())
    }

    /// SYSCALL (Intel SDM volume 2B): to level 0, with the return address in RCX and the flags in R11.
    pub(crate) fn syscall(&mut self, _: &Op) -> Step {
        if self.bits != 64 || self.state.efer & EferFlags::SYSTEM_CALL_EXTENSIONS.bits() == 0 {
            return Err(ud());
        }
        let msrs = self.state.msrs;
        self.state.general[reg::RCX] = self.state.ip;
        self.state.general[11] = self.flags.get() & !flags::RF;
        let kept = self.flags.get() & !(msrs.fmask | flags::RF);
        self.flags.set(kept | 2);
        let selector = (msrs.star >> 32) as u16 & !3;
        self.set_flat(selector, selector.wrapping_add(8), 0, true);
        self.state.ip = msrs.lstar;
        Ok(())
    }

    /// SYSRET: back to level 3, to 64-bit code or to compatibility mode.
    pub(crate) fn sysret(&mut self, op: &Op) -> Step {
        if self.bits != 64 || self.state.efer & EferFlags::SYSTEM_CALL_EXTENSIONS.bits() == 0 {
            return Err(ud());
        }
        self.privileged()?;
        let is_64 = op.insn.mnemonic() == Mnemonic::Sysretq;
        let target = self.state.general[reg::RCX];
        if is_64 && !self.is_canonical(target) {
            return Err(gp0());
        }
        let base = (self.state.msrs.star >> 48) as u16;
        let kept = flags::RF | flags::VM;
        self.flags.set(self.state.general[11] & 0x3C_7FD7 & !kept | 2);
        let code = if is_64 { base.wrapping_add(16) } else { base };
        self.set_flat(code | 3, base.wrapping_add(8) | 3, 3, is_64);
        self.state.ip = if is_64 { target } else { target & 0xFFFF_FFFF };
        Ok(())
    }

    /// SYSENTER: to level 0, at the place that model-specific registers name.
    pub(crate) fn sysenter(&mut self, _: &Op) -> Step {
        let msrs = self.state.msrs;
        if !self.state.is_protected() || msrs.sysenter_cs & 0xFFFC == 0 {
            return Err(gp0());
        }
        self.flags.put(flags::VM | flags::IF | flags::RF, false);
        let selector = msrs.sysenter_cs as u16 & !3;
        let is_64 = self.state.is_long();
        self.set_flat(selector, selector.wrapping_add(8), 0, is_64);
        let cut = if is_64 { u64::MAX } else { u32::MAX.into() };
        self.state.general[reg::RSP] = msrs.sysenter_esp & cut;
        self.state.ip = msrs.sysenter_eip & cut;
        Ok(())
    }

    pub(crate) fn sysexit(&mut self, op: &Op) -> Step {
        let base = self.state.msrs.sysenter_cs as u16 & !3;
        if !self.state.is_protected() || base == 0 || self.cpl != 0 {
            return Err(gp0());
        }
        let is_64 = op.insn.mnemonic() == Mnemonic::Sysexitq;
        let (ip, sp) = (self.state.general[reg::RDX], self.state.general[reg::RCX]);
        if is_64 && !(self.is_canonical(ip) && self.is_canonical(sp)) {
            return Err(gp0());
        }
        let code = base.wrapping_add(if is_64 { 32 } else { 16 });
        self.set_flat(code | 3, code.wrapping_add(8) | 3, 3, is_64);
        let cut = if is_64 { u64::MAX } else { u32::MAX.into() };
        self.state.general[reg::RSP] = sp & cut;
        self.state.ip = ip & cut;
        Ok(())
    }

    /// Sets CS and SS to flat segments of a level, without a look at their descriptors.
    fn set_flat(&mut self, code: u16, stack: u16, level: u8, is_64: bool) {
        let dpl = Rights(u32::from(level) << 5);
        let base = Rights::PRESENT
            .with(Rights::CODE_OR_DATA)
            .with(Rights::WRITABLE)
            .with(Rights::ACCESSED)
            .with(dpl);
        let wide = if is_64 { Rights::LONG } else { Rights::BIG };
        let flat = |selector, rights| Segment { selector, base: 0, limit: u32::MAX, rights };
        self.state.segments[seg::CS] =
            flat(code, base.with(Rights::EXECUTABLE).with(Rights::GRANULAR).with(wide));
        self.state.segments[seg::SS] = flat(stack, base.with(Rights::GRANULAR).with(Rights::BIG));
        self.refresh();
    }

    /// An instruction that is undefined by the manual.
    pub(crate) fn undefined(&mut self, _: &Op) -> Step {
        Err(ud())
    }

    /// An instruction that the interpreter does not have.
    pub(crate) fn missing(&mut self, _: &Op) -> Step {
        Err(Event::Missing)
    }
}

/// Numbers of model-specific registers (Intel SDM volume 4, table 2-2).
mod msr {
    pub(super) const TSC: u64 = 0x10;
    pub(super) const SYSENTER_CS: u64 = 0x174;
    pub(super) const SYSENTER_ESP: u64 = 0x175;
    pub(super) const SYSENTER_EIP: u64 = 0x176;
    pub(super) const EFER: u64 = 0xC000_0080;
    pub(super) const STAR: u64 = 0xC000_0081;
    pub(super) const LSTAR: u64 = 0xC000_0082;
    pub(super) const CSTAR: u64 = 0xC000_0083;
    pub(super) const FMASK: u64 = 0xC000_0084;
    pub(super) const FS_BASE: u64 = 0xC000_0100;
    pub(super) const GS_BASE: u64 = 0xC000_0101;
    pub(super) const KERNEL_GS_BASE: u64 = 0xC000_0102;
    pub(super) const TSC_AUX: u64 = 0xC000_0103;
}

/// The bits of CPUID that are set.
mod features {
    const fn bits(numbers: &[u32]) -> u32 {
        let (mut all, mut index) = (0, 0);
        while index < numbers.len() {
            all |= 1 << numbers[index];
            index += 1;
        }
        all
    }
    /// FPU, DE, PSE, TSC, MSR, PAE, CX8, SEP, PGE, CMOV, CLFSH, MMX, FXSR, SSE, SSE2.
    pub(super) const EDX: u32 = bits(&[0, 2, 3, 4, 5, 6, 8, 11, 13, 15, 19, 23, 24, 25, 26]);
    /// SSE3, SSSE3, CX16, SSE4.1, SSE4.2, MOVBE, POPCNT.
    pub(super) const ECX: u32 = bits(&[0, 9, 13, 19, 20, 22, 23]);
    /// The size of what CLFLUSH flushes: 8 times 8 bytes.
    pub(super) const CACHE_LINE: u32 = 8 << 8;
    /// The address of an x87 operand changes for exceptions only, SMEP, no selectors of x87 instructions, SMAP.
    pub(super) const SEVEN_EBX: u32 = bits(&[6, 7, 13, 20]);
    /// SYSCALL, NX, pages of 1 GiB, RDTSCP, long mode.
    pub(super) const EXTENDED_EDX: u32 = bits(&[11, 20, 26, 27, 29]);
}
