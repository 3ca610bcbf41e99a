//! Questions that debuggers, tracers and crash reports ask of a CPU's state.

use alloc::{vec, vec::Vec};
use core::fmt;

use guest_abi::{block::Trap, layout::REAL_MODE_END, mode::CpuMode};

use crate::{
    segment::{Rights, Segment},
    state::{CpuState, control, reg, seg},
};

impl CpuState {
    /// Returns this state in another mode, with code and stack segments of `bits` bits that begin at these addresses.
    #[must_use]
    pub fn in_segments(mut self, mode: CpuMode, bits: u32, code_base: u64, stack_base: u64) -> Self {
        let (cr0, cr4, efer) = control(mode);
        (self.cr0, self.cr4, self.efer) = (cr0.bits(), cr4.bits(), efer.bits());
        for (index, base, kind) in
            [(seg::CS, code_base, Rights::EXECUTABLE), (seg::SS, stack_base, Rights::WRITABLE)]
        {
            self.segments[index].base = base;
            self.segments[index].rights =
                Rights::PRESENT.with(Rights::CODE_OR_DATA).with(kind).of_width(bits);
        }
        self
    }

    /// Returns this state in another code segment of `bits` bits.
    #[must_use]
    pub fn in_code_segment(mut self, base: u64, selector: u16, bits: u32) -> Self {
        let code = &mut self.segments[seg::CS];
        *code = Segment { selector, base, rights: code.rights.of_width(bits), ..*code };
        self
    }

    /// Returns the state that a trap interrupted, from the guest's own report of the trap.
    #[must_use]
    pub fn interrupted(self, trap: &Trap) -> Self {
        let Trap { general, ip, flags, cr2, .. } = *trap;
        Self { general, ip, flags, cr2, ..self }
    }

    /// Returns this state at another instruction pointer.
    #[must_use]
    pub fn at(&self, ip: u64) -> Self {
        Self { ip, ..self.clone() }
    }

    /// Returns the linear address that lies `offset` bytes above the top of the stack.
    pub fn stack_slot(&self, offset: u64) -> u64 {
        self.linear(seg::SS, self.general[reg::RSP].wrapping_add(offset) & self.stack_mask())
    }

    /// Returns the frame pointer as a linear address.
    pub fn frame(&self) -> u64 {
        self.linear(seg::SS, self.general[reg::RBP] & self.stack_mask())
    }

    /// Returns a linear address as the CPU uses it: outside 64-bit code it has 32 bits and wraps at 4 GiB (Intel SDM
    /// volume 3A, 3.3).
    pub fn wrapped(&self, address: u64) -> u64 {
        if self.bits() == 64 { address } else { address & u64::from(u32::MAX) }
    }

    /// Sets the instruction pointer to the offset of a linear address in the code segment. Returns false if the
    /// segment does not reach that far.
    pub fn go_to(&mut self, address: u64) -> bool {
        let offset = self.wrapped(address.wrapping_sub(self.segments[seg::CS].base));
        let last = if self.mode() == CpuMode::Real { u64::from(REAL_MODE_END) - 1 } else { u64::MAX };
        let is_there = offset <= last;
        if is_there && self.instruction() != address {
            self.ip = offset;
        }
        is_there
    }

    /// Returns true if no access to data below `end` can raise an exception: the segments allow all of them, and
    /// there is no paging.
    pub fn allows_data_below(&self, end: u64) -> bool {
        let mode = self.mode();
        let is_flat = |index: usize| self.segments[index].is_flat(mode);
        match mode {
            CpuMode::Paged | CpuMode::Long => false,
            _ if ![seg::DS, seg::ES, seg::SS].into_iter().all(is_flat) => false,
            CpuMode::Real => end <= REAL_MODE_END.into(),
            CpuMode::Protected => end <= 1 << 32,
        }
    }

    /// Returns the code segment's base and selector.
    pub fn code_segment(&self) -> (u64, u16) {
        let Segment { selector, base, .. } = self.segments[seg::CS];
        (if self.bits() == 64 { 0 } else { base }, selector)
    }

    /// Returns true if these are the registers of a CPU after reset. A shutdown can reset the CPU, and then the
    /// guest's registers are lost (Intel SDM volume 3A, 10.1.4).
    pub fn is_reset(&self) -> bool {
        self.mode() == CpuMode::Real && self.ip == 0xFFF0 && self.segments[seg::CS].selector == 0xF000
    }

    /// Returns all that decides how a linear address of code becomes a guest-physical one. Equal values and equal
    /// page tables mean the same translation.
    pub fn translation(&self) -> Vec<u64> {
        let (base, selector) = self.code_segment();
        vec![self.mode() as u64, base, selector.into(), self.cr0, self.cr3, self.cr4, self.efer]
    }

    /// Returns the base of the code segment with this selector: the present one, or one of the global descriptor
    /// table. `read` copies memory from a linear address, all or nothing.
    pub fn base_of_code(&self, selector: u16, read: impl Fn(u64, &mut [u8]) -> bool) -> Option<u64> {
        let (base, own) = self.code_segment();
        match self.mode() {
            CpuMode::Real => Some(u64::from(selector) * 16),
            _ if selector == own => Some(base),
            mode => code_base(self.descriptor(selector, read)?, mode),
        }
    }

    /// Returns the descriptor that a selector names in the global descriptor table. `read` is as for
    /// [`base_of_code`](Self::base_of_code).
    pub fn descriptor(&self, selector: u16, read: impl Fn(u64, &mut [u8]) -> bool) -> Option<u64> {
        /// The bits of a selector that are the requested privilege level, and the bit that names the local table.
        const PRIVILEGE: u16 = 0b11;
        const LOCAL: u16 = 0b100;
        let offset = selector & !PRIVILEGE;
        let last = offset.checked_add(7).filter(|_| offset != 0 && offset & LOCAL == 0)?;
        let mut bytes = [0; 8];
        (last <= self.gdt.limit && read(self.gdt.base.wrapping_add(offset.into()), &mut bytes))
            .then(|| u64::from_le_bytes(bytes))
    }

    /// Returns this state at an instruction to which a return from an interrupt leads. The selector must be the
    /// present one, or one of real mode.
    #[must_use]
    pub fn in_code(&self, selector: u16, ip: u64) -> Option<Self> {
        let mut next = self.at(ip);
        if selector != self.segments[seg::CS].selector {
            let base = (self.mode() == CpuMode::Real).then(|| u64::from(selector) * 16)?;
            next.segments[seg::CS] = Segment { selector, base, ..self.segments[seg::CS] };
        }
        Some(next)
    }

    /// Returns the size in bytes of each of the words that the CPU pushes on its way to a handler: flags, CS and IP.
    pub fn word(&self) -> usize {
        match self.mode() {
            CpuMode::Real => 2,
            CpuMode::Protected | CpuMode::Paged => 4,
            CpuMode::Long => 8,
        }
    }

    /// Returns the selectors in the order of debuggers: CS, SS, DS, ES, FS, GS.
    pub fn selectors(&self) -> [u16; 6] {
        [seg::CS, seg::SS, seg::DS, seg::ES, seg::FS, seg::GS].map(|index| self.segments[index].selector)
    }

    /// Returns the registers that the mode has, with their names.
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        self.named_in(self.mode(), self.ip)
    }

    fn named_in(&self, mode: CpuMode, ip: u64) -> Vec<(&'static str, u64)> {
        const LONG: [&str; 16] = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8 ", "r9 ", "r10", "r11", "r12", "r13",
            "r14", "r15",
        ];
        const SHORT: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
        let (names, ip_name, flags) = match mode {
            CpuMode::Long => (&LONG[..], "rip", "rfl"),
            _ => (&SHORT[..], "eip", "efl"),
        };
        let general = names.iter().copied().zip(self.general);
        general.chain([(ip_name, ip), (flags, self.flags), ("cr2", self.cr2)]).collect()
    }

    /// Returns the registers whose values differ from those in `before`, with their names. The instruction pointer is
    /// left out.
    pub fn changed_since(&self, before: &Self) -> Vec<(&'static str, u64)> {
        const SEGMENTS: [&str; 6] = ["es", "cs", "ss", "ds", "fs", "gs"];
        let all = |of: &Self| {
            let mut all = of.named_in(self.mode(), 0);
            all.extend([("cr0", of.cr0), ("cr3", of.cr3), ("cr4", of.cr4), ("efer", of.efer)]);
            all.extend(SEGMENTS.into_iter().zip(of.segments.map(|segment| segment.selector.into())));
            all
        };
        let changed = all(self).into_iter().zip(all(before)).filter(|(now, then)| now != then);
        changed.map(|((name, value), _)| (name.trim_end(), value)).collect()
    }
}

/// The registers in rows, without x87, SSE and debug registers.
impl fmt::Display for CpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let general = |index: usize| self.general[index];
        let rows = [
            [("rax", general(0)), ("rbx", general(3)), ("rcx", general(1)), ("rdx", general(2))],
            [("rsi", general(6)), ("rdi", general(7)), ("rbp", general(5)), ("rsp", general(4))],
            [("r8", general(8)), ("r9", general(9)), ("r10", general(10)), ("r11", general(11))],
            [("r12", general(12)), ("r13", general(13)), ("r14", general(14)), ("r15", general(15))],
            [("rip", self.ip), ("rfl", self.flags), ("cr0", self.cr0), ("cr2", self.cr2)],
        ];
        for row in rows {
            write_row(f, &row)?;
            writeln!(f)?;
        }
        write_row(f, &[("cr3", self.cr3), ("cr4", self.cr4), ("efr", self.efer)])?;
        for (name, index) in [
            ("cs", seg::CS),
            ("ds", seg::DS),
            ("es", seg::ES),
            ("fs", seg::FS),
            ("gs", seg::GS),
            ("ss", seg::SS),
        ] {
            let Segment { selector, base, limit, .. } = self.segments[index];
            write!(f, "\n{name}  {selector:04x} base {base:x} limit {limit:x}")?;
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &[(&str, u64)]) -> fmt::Result {
    row.iter().enumerate().try_for_each(|(index, (name, value))| {
        let gap = if index == 0 { "" } else { "  " };
        write!(f, "{gap}{name:<3} {value:016x}")
    })
}

impl Segment {
    /// Returns true if the segment begins at 0, reaches as far as the mode does, and can be written (Intel SDM volume
    /// 3A, 3.4.5.1).
    fn is_flat(&self, mode: CpuMode) -> bool {
        let kind = self.rights.0 & 0b1110;
        let (limit, is_data) = match mode {
            CpuMode::Real => (REAL_MODE_END - 1, true),
            _ => (u32::MAX, kind == Rights::WRITABLE.0),
        };
        self.base == 0 && self.limit >= limit && !self.rights.has(Rights::UNUSABLE) && is_data
    }
}

impl Rights {
    /// Returns these rights for code, or a stack, of `bits` bits: 16, 32 or 64.
    fn of_width(self, bits: u32) -> Self {
        let rest = Self(self.0 & !Self::LONG.with(Self::BIG).0);
        match bits {
            64 => rest.with(Self::LONG),
            32 => rest.with(Self::BIG),
            _ => rest,
        }
    }
}

/// Returns the base of a code segment from its descriptor (Intel SDM volume 3A, 3.4.5), or `None` for a descriptor of
/// another kind.
fn code_base(descriptor: u64, mode: CpuMode) -> Option<u64> {
    let rights = Rights::from_descriptor(descriptor);
    let base = descriptor >> 16 & 0xFF_FFFF | descriptor >> 56 << 24;
    let is_flat = mode == CpuMode::Long && rights.has(Rights::LONG);
    let is_code = rights.has(Rights::PRESENT.with(Rights::CODE_OR_DATA).with(Rights::EXECUTABLE));
    is_code.then_some(if is_flat { 0 } else { base })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered() -> CpuState {
        let mut state = CpuState::real(0);
        state.general = core::array::from_fn(|index| 0x1111_2222_3333_4400 + index as u64);
        state
    }

    #[test]
    fn linear_addresses_wrap_at_4_gib_outside_of_64_bit_code() {
        let at = |bits, base, ip| CpuState::real(0).at(ip).in_segments(CpuMode::Protected, bits, base, base);
        assert_eq!(at(32, 0x4000_0000, 0xC000_000E).instruction(), 0xE);
        assert_eq!(at(16, 0xF_FFF0, 0xFFFF).instruction(), 0x10_FFEF, "no wrap at 1 MiB");
        let long = CpuState::real(0).at(0x1_0000_000E).in_segments(CpuMode::Long, 64, 0, 0);
        assert_eq!((long.instruction(), long.wrapped(u64::MAX)), (0x1_0000_000E, u64::MAX));
    }

    #[test]
    fn the_stack_pointer_of_a_16_bit_stack_is_the_low_half() {
        let mut state = CpuState::real(0);
        (state.general[reg::RSP], state.general[reg::RBP]) = (0x0020_FFFE, 0x1234_0010);
        let wide = state.clone().in_segments(CpuMode::Protected, 32, 0, 0x4000_0000);
        let narrow = state.in_segments(CpuMode::Real, 16, 0, 0x500);
        assert_eq!((narrow.stack(), narrow.frame()), (0x1_04FE, 0x510));
        assert_eq!(wide.stack(), 0x4020_FFFE);
    }

    #[test]
    fn changed_registers_are_named() {
        let before = numbered();
        let mut after = before.clone();
        assert!(after.changed_since(&before).is_empty());
        (after.general[1], after.flags, after.ip, after.segments[0].selector) = (7, 0x46, 5, 0x10);
        assert_eq!(after.changed_since(&before), [("ecx", 7), ("efl", 0x46), ("es", 0x10)]);
    }

    #[test]
    fn a_flat_state_allows_data_as_far_as_its_mode_reaches() {
        let protected = CpuState::flat(CpuMode::Protected, 0, 0, 0);
        assert!(protected.allows_data_below(1 << 32) && !protected.allows_data_below((1 << 32) + 1));
        let real = CpuState::real(0);
        assert!(real.allows_data_below(0x1_0000) && !real.allows_data_below(0x1_0001));
        assert!(!CpuState::flat(CpuMode::Long, 0, 0, 0).allows_data_below(1));
    }

    #[test]
    fn a_code_segment_is_found_by_its_selector() {
        let mut state = CpuState::flat(CpuMode::Protected, 0, 0, 0);
        (state.gdt.base, state.gdt.limit) = (0x500, 0x1F);
        let read = |address: u64, bytes: &mut [u8]| {
            bytes.copy_from_slice(&0x40CF_9A12_3456_FFFF_u64.to_le_bytes());
            address == 0x518
        };
        assert_eq!(state.base_of_code(0x18, read), Some(0x4012_3456));
        assert_eq!(state.base_of_code(0x20, read), None, "beyond the table");
        assert_eq!(state.base_of_code(0x8, read), Some(0), "the present one");
    }

    #[test]
    fn registers_are_shown_with_their_names() {
        let mut state = CpuState::flat(CpuMode::Protected, 0, 0, 0);
        state.general[reg::RAX] = 0x2A;
        let text = alloc::format!("{state}");
        assert!(text.starts_with("rax 000000000000002a  rbx 0000000000000000  "), "{text}");
        assert!(
            text.contains("\ncr3 0000000000000000  cr4 0000000000000000  efr 0000000000000000\ncs  0008"),
            "{text}"
        );
        assert!(
            text.contains("cr0 0000000000000011") && text.contains("cs  0008 base 0 limit ffffffff"),
            "{text}"
        );
    }

    #[test]
    fn an_instruction_pointer_is_an_offset_in_the_code_segment() {
        let mut state = CpuState::real(0).in_segments(CpuMode::Real, 16, 0x500, 0);
        assert!(state.go_to(0x1234) && state.ip == 0xD34);
        assert!(!state.go_to(0x4FF) && state.ip == 0xD34);
    }
}
