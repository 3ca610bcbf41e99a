//! The control word, the status word, and the state of x87 and SSE in memory (Intel SDM volume 1, 8.1 and 10.5).

use iced_x86::{Code, Mnemonic as M};
use x86_64::registers::control::{Cr0Flags, Cr4Flags};

use crate::{
    access::Access,
    cpu::{Handler, Op, SoftCpu},
    fault::{NM, Step, fault, gp0, ud},
    float::{Kind, flag},
    sse::MXCSR_MASK,
    x87::stack::status,
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Fninit => SoftCpu::fninit,
        M::Fnclex => SoftCpu::fnclex,
        M::Fldcw => SoftCpu::fldcw,
        M::Fnstcw => |c, op| c.store_word(op, |c| c.state.fpu.control),
        M::Fnstsw => |c, op| c.store_word(op, |c| c.state.fpu.status),
        M::Fnstenv => SoftCpu::fnstenv,
        M::Fldenv => SoftCpu::fldenv,
        M::Fnsave => SoftCpu::fnsave,
        M::Frstor => SoftCpu::frstor,
        M::Fxsave | M::Fxsave64 => SoftCpu::fxsave,
        M::Fxrstor | M::Fxrstor64 => SoftCpu::fxrstor,
        M::Wait => SoftCpu::fwait,
        M::Fnop => SoftCpu::fnop,
        M::Fincstp => |c, op| c.change_stack(op, |c| c.set_top(c.top() + 1)),
        M::Fdecstp => |c, op| c.change_stack(op, |c| c.set_top(c.top().wrapping_sub(1))),
        M::Ffree => |c, op| c.ffree(op, false),
        M::Ffreep => |c, op| c.ffree(op, true),
        // Instructions of the 8087 and 80287, which do nothing since.
        M::Fneni | M::Fndisi | M::Fnsetpm => |c, _| c.check_x87(),
        _ => return None,
    })
}

/// The bits of the control word that there are; bit 6 is always set.
const CONTROL: u16 = 0x1F3F;

impl SoftCpu {
    /// FWAIT: CR0.MP has it mind CR0.TS.
    fn fwait(&mut self, _: &Op) -> Step {
        let both = Cr0Flags::MONITOR_COPROCESSOR.union(Cr0Flags::TASK_SWITCHED).bits();
        if self.state.cr0 & both == both {
            return Err(fault(NM));
        }
        self.check_pending()
    }

    fn fninit(&mut self, _: &Op) -> Step {
        self.check_x87()?;
        self.initialize();
        Ok(())
    }

    fn initialize(&mut self) {
        self.set_top(0);
        let fpu = &mut self.state.fpu;
        (fpu.control, fpu.status, fpu.tags) = (0x37F, 0, 0);
        (fpu.opcode, fpu.instruction, fpu.operand) = (0, 0, 0);
    }

    fn fnclex(&mut self, _: &Op) -> Step {
        self.check_x87()?;
        self.state.fpu.status &= status::C0 | status::C1 | status::C2 | status::C3 | status::TOP;
        Ok(())
    }

    fn set_control_word(&mut self, value: u16) {
        self.state.fpu.control = value & CONTROL | 0x40;
        self.refresh_pending();
    }

    fn fldcw(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        let value = self.get(op, op.to, 2)? as u16;
        self.set_control_word(value);
        Ok(())
    }

    /// FNSTCW and FNSTSW.
    fn store_word(&mut self, op: &Op, word: impl Fn(&Self) -> u16) -> Step {
        self.check_x87()?;
        self.put(op, op.to, 2, word(self).into())
    }

    /// FNOP: an instruction as far as its address is kept.
    fn fnop(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        self.state.fpu.instruction = op.ip;
        Ok(())
    }

    fn change_stack(&mut self, op: &Op, f: impl Fn(&mut Self)) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        f(self);
        Ok(())
    }

    fn ffree(&mut self, op: &Op, pops: bool) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        self.free(Self::st_operand(op.insn.op0_register()));
        if pops {
            self.pop_st();
        }
        Ok(())
    }
}

/// The environment: 14 or 28 bytes, whose layout real mode has in its own way (Intel SDM volume 1, figures 8-9 to 8-12).
impl SoftCpu {
    /// Returns true if an instruction has the layout of 32 bits.
    fn is_wide(op: &Op) -> bool {
        !matches!(
            op.insn.code(),
            Code::Fnstenv_m14byte | Code::Fldenv_m14byte | Code::Fnsave_m94byte | Code::Frstor_m94byte
        )
    }

    /// Returns the full tag word: two bits for each physical register.
    fn tag_word(&self) -> u16 {
        (0..8).fold(0, |word, index| {
            let tag = match self.st(index).kind {
                _ if self.is_empty(index) => 3,
                Kind::Normal => 0,
                Kind::Zero => 1,
                _ => 2,
            };
            word | tag << (2 * ((self.top() + index) & 7))
        })
    }

    fn set_tag_word(&mut self, word: u16) {
        let is_there = |register: &u32| word >> (2 * register) & 3 != 3;
        self.state.fpu.tags = (0..8).filter(is_there).fold(0, |tags, register| tags | 1 << register);
    }

    /// Returns the environment as seven words, which are 16 or 32 bits wide.
    fn environment(&self, wide: bool) -> [u32; 7] {
        let fpu = &self.state.fpu;
        let (ip, operand) = (fpu.instruction as u32, fpu.operand as u32);
        let (opcode, reserved) = (u32::from(fpu.opcode & 0x7FF), if wide { 0xFFFF_0000 } else { 0 });
        let words = [fpu.control, fpu.status, self.tag_word()].map(|word| reserved | u32::from(word));
        // Selectors are not kept: CPUID tells so.
        let [control, state, tags] = words;
        match (wide, self.has_paragraphs()) {
            (true, false) => [control, state, tags, ip, opcode << 16, operand, reserved],
            (false, false) => [control, state, tags, ip, 0, operand, 0],
            (true, true) => [
                control,
                state,
                tags,
                reserved | ip & 0xFFFF,
                ip >> 16 << 12 | opcode,
                reserved | operand & 0xFFFF,
                operand >> 16 << 12,
            ],
            (false, true) => {
                [control, state, tags, ip, ip >> 16 << 12 | opcode, operand, operand >> 16 << 12]
            }
        }
    }

    fn set_environment(&mut self, wide: bool, words: [u32; 7]) {
        let [control, state, tags, ip, code, operand, data] = words;
        let has_paragraphs = self.has_paragraphs();
        self.set_top(usize::from(state as u16 >> status::TOP.trailing_zeros() & 7));
        self.set_tag_word(tags as u16);
        let fpu = &mut self.state.fpu;
        fpu.status = state as u16;
        (fpu.instruction, fpu.operand, fpu.opcode) = match (wide, has_paragraphs) {
            (true, false) => (ip.into(), operand.into(), (code >> 16) as u16 & 0x7FF),
            (false, false) => (ip.into(), operand.into(), 0),
            _ => {
                let address = |low: u32, high: u32| u64::from(high >> 12 << 16 | low & 0xFFFF);
                (address(ip, code), address(operand, data), code as u16 & 0x7FF)
            }
        };
        self.set_control_word(control as u16);
    }

    /// Returns the bytes of the environment, and how many there are.
    fn environment_bytes(&self, wide: bool) -> ([u8; 28], usize) {
        let mut bytes = [0; 28];
        let width = if wide { 4 } else { 2 };
        for (place, word) in bytes.chunks_mut(width).zip(self.environment(wide)) {
            place.copy_from_slice(&word.to_le_bytes()[..width]);
        }
        (bytes, 7 * width)
    }

    fn set_environment_bytes(&mut self, wide: bool, bytes: &[u8]) {
        let width = if wide { 4 } else { 2 };
        let mut words = [0; 7];
        for (word, place) in words.iter_mut().zip(bytes.chunks(width)) {
            let mut value = [0; 4];
            value[..width].copy_from_slice(place);
            *word = u32::from_le_bytes(value);
        }
        self.set_environment(wide, words);
    }

    /// FNSTENV: then all exceptions are masked.
    fn fnstenv(&mut self, op: &Op) -> Step {
        self.check_x87()?;
        let (bytes, len) = self.environment_bytes(Self::is_wide(op));
        self.write_area(op, len as u8 / 7, &bytes[..len])?;
        self.set_control_word(self.state.fpu.control | u16::from(flag::ALL));
        Ok(())
    }

    fn fldenv(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        let wide = Self::is_wide(op);
        let mut bytes = [0; 28];
        let len = if wide { 28 } else { 14 };
        self.read_area(op, len as u8 / 7, &mut bytes[..len])?;
        self.set_environment_bytes(wide, &bytes[..len]);
        Ok(())
    }

    /// FNSAVE: the environment and the registers, then the initial state.
    fn fnsave(&mut self, op: &Op) -> Step {
        self.check_x87()?;
        let (environment, len) = self.environment_bytes(Self::is_wide(op));
        let mut bytes = [0; 108];
        bytes[..len].copy_from_slice(&environment[..len]);
        for (place, register) in bytes[len..].chunks_exact_mut(10).zip(&self.state.fpu.st) {
            place.copy_from_slice(&register[..10]);
        }
        self.write_area(op, len as u8 / 7, &bytes[..len + 80])?;
        self.initialize();
        Ok(())
    }

    fn frstor(&mut self, op: &Op) -> Step {
        self.begin_x87()?;
        let wide = Self::is_wide(op);
        let len = if wide { 28 } else { 14 };
        let mut bytes = [0; 108];
        self.read_area(op, len as u8 / 7, &mut bytes[..len + 80])?;
        self.set_environment_bytes(wide, &bytes[..len]);
        for (register, place) in self.state.fpu.st.iter_mut().zip(bytes[len..].chunks_exact(10)) {
            register[..10].copy_from_slice(place);
        }
        Ok(())
    }
}

/// The area of FXSAVE: 512 bytes (Intel SDM volume 1, table 10-2).
const AREA: usize = 512;
const REGISTERS: usize = 32;
const VECTORS: usize = 160;

impl SoftCpu {
    fn begin_area(&mut self, op: &Op) -> Step {
        if self.state.cr0 & Cr0Flags::EMULATE_COPROCESSOR.bits() != 0 {
            return Err(ud());
        }
        self.check_task_switched()?;
        // Where #AC is asked for, Intel's CPUs raise it before #GP for an address that is not even aligned to 4 bytes.
        let linear = self.linear(op.mem.segment, self.offset(&op.mem), 4, Access::READ)?;
        self.check_access(linear, 4, Access::READ)?;
        self.check_16_bytes(op, Access::READ)
    }

    /// Returns the number of XMM registers in the area. Without CR4.OSFXSR they belong to nobody.
    fn vectors_in_area(&self) -> usize {
        match (self.state.cr4 & Cr4Flags::OSFXSR.bits() != 0, self.bits) {
            (false, _) => 0,
            (true, 64) => 16,
            (true, _) => 8,
        }
    }

    fn is_64(op: &Op) -> bool {
        matches!(op.insn.mnemonic(), M::Fxsave64 | M::Fxrstor64)
    }

    fn fxsave(&mut self, op: &Op) -> Step {
        self.begin_area(op)?;
        self.area(op, 8, AREA, Access::WRITE)?;
        let mut bytes = [0; AREA];
        let fpu = &self.state.fpu;
        bytes[0..2].copy_from_slice(&fpu.control.to_le_bytes());
        bytes[2..4].copy_from_slice(&fpu.status.to_le_bytes());
        bytes[4..6].copy_from_slice(&[fpu.tags, 0]);
        bytes[6..8].copy_from_slice(&fpu.opcode.to_le_bytes());
        let cut = if Self::is_64(op) { u64::MAX } else { u32::MAX.into() };
        bytes[8..16].copy_from_slice(&(fpu.instruction & cut).to_le_bytes());
        bytes[16..24].copy_from_slice(&(fpu.operand & cut).to_le_bytes());
        bytes[24..28].copy_from_slice(&fpu.mxcsr.to_le_bytes());
        bytes[28..32].copy_from_slice(&MXCSR_MASK.to_le_bytes());
        for (place, register) in bytes[REGISTERS..VECTORS].chunks_exact_mut(16).zip(&fpu.st) {
            place.copy_from_slice(register);
        }
        let count = self.vectors_in_area();
        for (place, register) in bytes[VECTORS..].chunks_exact_mut(16).zip(&fpu.xmm).take(count) {
            place.copy_from_slice(register);
        }
        // The rest belongs to software.
        self.write_area(op, 8, &bytes[..VECTORS + 16 * count])
    }

    fn fxrstor(&mut self, op: &Op) -> Step {
        self.begin_area(op)?;
        let mut bytes = [0; AREA];
        self.read_area(op, 8, &mut bytes)?;
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let double = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
        let address = |at: usize| match Self::is_64(op) {
            true => u64::from(double(at)) | u64::from(double(at + 4)) << 32,
            false => double(at).into(),
        };
        if double(24) & !MXCSR_MASK != 0 {
            return Err(gp0());
        }
        let count = self.vectors_in_area();
        let fpu = &mut self.state.fpu;
        (fpu.status, fpu.tags, fpu.opcode) = (word(2), bytes[4], word(6) & 0x7FF);
        (fpu.instruction, fpu.operand, fpu.mxcsr) = (address(8), address(16), double(24));
        for (register, place) in fpu.st.iter_mut().zip(bytes[REGISTERS..VECTORS].chunks_exact(16)) {
            register[..10].copy_from_slice(&place[..10]);
        }
        let vectors = fpu.xmm.iter_mut().zip(bytes[VECTORS..].chunks_exact(16));
        for (register, place) in vectors.take(count) {
            register.copy_from_slice(place);
        }
        self.set_control_word(word(0));
        Ok(())
    }
}
