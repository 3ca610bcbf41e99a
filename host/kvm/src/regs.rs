//! The registers of a vCPU that stands still: one type for reports, the debugger and the tracer.

use guest_abi::{block::Trap, layout::REAL_MODE_END, mode::CpuMode};
use guestlab_cpu::FpuState;
use iced_x86::Register;
use kvm_bindings::{kvm_fpu, kvm_regs, kvm_segment, kvm_sregs};
use x86_64::registers::control::{Cr0Flags, EferFlags};

/// The registers of a vCPU that stands still, but for x87 and SSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    /// The general registers, in the order in which instructions encode them: RAX, RCX, RDX, RBX, RSP,
    /// RBP, RSI, RDI, R8 to R15.
    pub general: [u64; 16],
    /// RIP.
    pub ip: u64,
    /// RFLAGS.
    pub flags: u64,
    /// CR2, the address of the last page fault.
    pub cr2: u64,
    /// CR0, CR3, CR4 and EFER.
    control: [u64; 4],
    /// The segments, in the order in which instructions encode them: ES, CS, SS, DS, FS, GS.
    segments: [Segment; 6],
    /// The table of vectors: its linear address, and the offset of its last byte.
    vectors: (u64, u16),
    /// The table of segments: its linear address, and the offset of its last byte.
    descriptors: (u64, u16),
    /// Whether the data segments begin at 0 and reach as far as the mode does.
    flat: bool,
    /// The mode.
    mode: CpuMode,
    /// The width of code in bits: 16, 32 or 64.
    bits: u32,
    /// The width of the stack pointer in bits.
    stack_bits: u32,
}

/// A segment: its selector, and the linear address that it begins at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Segment {
    selector: u16,
    base: u64,
}

impl Registers {
    /// The places of some in [`general`](Self::general).
    pub const RDX: usize = 2;
    const RSP: usize = 4;
    const RBP: usize = 5;

    const SEGMENTS: [&str; 6] = ["es", "cs", "ss", "ds", "fs", "gs"];
    const CS: usize = 1;
    const SS: usize = 2;
    const FS: usize = 4;

    /// What KVM says of them.
    pub(super) fn of(regs: &kvm_regs, sregs: &kvm_sregs) -> Self {
        let has = |flag: Cr0Flags| Cr0Flags::from_bits_retain(sregs.cr0).contains(flag);
        let long = EferFlags::from_bits_retain(sregs.efer).contains(EferFlags::LONG_MODE_ACTIVE);
        let mode = match (has(Cr0Flags::PROTECTED_MODE_ENABLE), has(Cr0Flags::PAGING), long) {
            (false, _, _) => CpuMode::Real,
            (true, false, _) => CpuMode::Protected,
            (true, true, false) => CpuMode::Paged,
            (true, true, true) => CpuMode::Long,
        };
        let bits = match (sregs.cs.l, sregs.cs.db) {
            (1, _) if long => 64,
            (_, 1) => 32,
            _ => 16,
        };
        // The stack segment says how wide the stack pointer is (SDM volume 1, 6.2.3).
        let stack_bits = match (bits, sregs.ss.db) {
            (64, _) => 64,
            (_, 1) => 32,
            _ => 16,
        };
        let segment = |(index, segment): (usize, kvm_segment)| Segment {
            selector: segment.selector,
            // In 64-bit code the others begin at 0, whatever is in them (SDM volume 1, 3.4.2.1).
            base: if bits == 64 && index < Self::FS { 0 } else { segment.base },
        };
        let s = sregs;
        let r = regs;
        let flat = [s.ds, s.es, s.ss].iter().all(|segment| is_flat(segment, mode));
        Self {
            general: [
                r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12,
                r.r13, r.r14, r.r15,
            ],
            ip: r.rip,
            flags: r.rflags,
            cr2: s.cr2,
            control: [s.cr0, s.cr3, s.cr4, s.efer],
            segments: [(0, s.es), (1, s.cs), (2, s.ss), (3, s.ds), (4, s.fs), (5, s.gs)].map(segment),
            vectors: (s.idt.base, s.idt.limit),
            descriptors: (s.gdt.base, s.gdt.limit),
            flat,
            mode,
            bits,
            stack_bits,
        }
    }

    /// The same, in a mode and with code of so many bits, whose segments of code and stack begin there: what any
    /// guest could have. Debug information and stacks are read along them, which is to be tried out.
    #[must_use]
    pub fn in_segments(self, mode: CpuMode, bits: u32, code_base: u64, stack_base: u64) -> Self {
        let mut segments = self.segments;
        (segments[Self::CS].base, segments[Self::SS].base) = (code_base, stack_base);
        Self { segments, mode, bits, stack_bits: bits, ..self }
    }

    /// The same, in another code segment: where that begins, its selector, and how wide its code is in bits.
    #[must_use]
    pub fn in_code_segment(self, base: u64, selector: u16, bits: u32) -> Self {
        let mut segments = self.segments;
        segments[Self::CS] = Segment { selector, base };
        Self { segments, bits, ..self }
    }

    /// The general registers, instruction pointer and flags, as KVM takes them.
    pub(super) fn write(&self) -> kvm_regs {
        let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = self.general;
        let (rip, rflags) = (self.ip, self.flags);
        kvm_regs { rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags }
    }

    /// Those that a trap interrupted, as the guest reported them, of a CPU that has these now.
    #[must_use]
    pub fn interrupted(self, trap: &Trap) -> Self {
        let Trap { general, ip, flags, cr2, .. } = *trap;
        Self { general, ip, flags, cr2, ..self }
    }

    /// The same, but for the instruction pointer.
    #[must_use]
    pub fn at(&self, ip: u64) -> Self {
        Self { ip, ..self.clone() }
    }

    /// The mode.
    pub fn mode(&self) -> CpuMode {
        self.mode
    }

    /// The width of code in bits: 16, 32 or 64.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The linear address of the instruction.
    pub fn instruction(&self) -> u64 {
        self.linear(Self::CS, self.ip)
    }

    /// The linear address of the top of the stack.
    pub fn stack(&self) -> u64 {
        self.stack_slot(0)
    }

    /// The linear address so many bytes above the top of the stack.
    pub fn stack_slot(&self, offset: u64) -> u64 {
        let pointer = self.general[Self::RSP].wrapping_add(offset);
        self.linear(Self::SS, pointer & mask_of_bits(self.stack_bits))
    }

    /// The frame pointer as a linear address.
    pub fn frame(&self) -> u64 {
        self.linear(Self::SS, self.general[Self::RBP] & mask_of_bits(self.stack_bits))
    }

    fn linear(&self, segment: usize, offset: u64) -> u64 {
        self.wrapped(self.segments[segment].base.wrapping_add(offset))
    }

    /// A linear address as the CPU has it: outside of 64-bit code it has 32 bits, and what lies beyond begins
    /// at 0 again (SDM volume 3A, 3.3).
    pub fn wrapped(&self, address: u64) -> u64 {
        address & mask_of_bits(if self.bits == 64 { 64 } else { 32 })
    }

    /// Sets the instruction pointer to the offset that an instruction's linear address has in the code segment;
    /// says whether there is one.
    pub fn go_to(&mut self, address: u64) -> bool {
        let offset = self.wrapped(address.wrapping_sub(self.segments[Self::CS].base));
        let last = if self.mode == CpuMode::Real { u64::from(REAL_MODE_END) - 1 } else { u64::MAX };
        let is_there = offset <= last;
        if is_there && self.instruction() != address {
            self.ip = offset;
        }
        is_there
    }

    /// Whether no access to data with addresses below `end` can raise an exception: segments allow it, and there
    /// is no paging.
    pub fn allows_data_below(&self, end: u64) -> bool {
        match self.mode {
            CpuMode::Real => self.flat && end <= REAL_MODE_END.into(),
            CpuMode::Protected => self.flat && end <= 1 << 32,
            CpuMode::Paged | CpuMode::Long => false,
        }
    }

    /// Where the code segment begins, and its selector.
    pub fn code_segment(&self) -> (u64, u16) {
        let Segment { selector, base } = self.segments[Self::CS];
        (base, selector)
    }

    /// The linear address of the table of vectors, and the offset of its last byte.
    pub fn vectors(&self) -> (u64, u16) {
        self.vectors
    }

    /// The linear address of the table of descriptors, and the offset of its last byte.
    pub fn descriptors(&self) -> (u64, u16) {
        self.descriptors
    }

    /// Whether these are the registers of a CPU after reset, which has forgotten those of the guest (SDM volume
    /// 3A, 10.1.4 "First Instruction Executed").
    pub fn are_of_a_reset(&self) -> bool {
        self.mode == CpuMode::Real && self.ip == 0xFFF0 && self.segments[Self::CS].selector == 0xF000
    }

    /// What says how linear addresses of code become physical ones: all the same, and the same tables, are the
    /// same translation.
    pub fn translation(&self) -> Vec<u64> {
        let (base, selector) = self.code_segment();
        [self.mode as u64, base, selector.into()].into_iter().chain(self.control).collect()
    }

    /// Where a code segment begins, by its selector: the present one, or one of the global table of descriptors.
    /// `read` copies memory from a linear address, all or nothing.
    pub fn base_of_code(&self, selector: u16, read: impl Fn(u64, &mut [u8]) -> bool) -> Option<u64> {
        // Of a selector: the requested privilege, and whether it is of the local table.
        const PRIVILEGE: u16 = 0b11;
        const LOCAL: u16 = 0b100;
        let (base, own) = self.code_segment();
        if self.mode == CpuMode::Real {
            return Some(u64::from(selector) * 16);
        }
        if selector == own {
            return Some(base);
        }
        let (table, limit) = self.descriptors;
        let at = selector & !PRIVILEGE;
        let mut bytes = [0; 8];
        let is_there = at & LOCAL == 0
            && at != 0
            && at.checked_add(7).is_some_and(|last| last <= limit)
            && read(table.wrapping_add(at.into()), &mut bytes);
        let descriptor = u64::from_le_bytes(bytes);
        is_there.then(|| code_base(descriptor, self.mode)).flatten()
    }

    /// The same at an instruction that a return from an interrupt leads to, where the segment is the present one
    /// or of real mode.
    #[must_use]
    pub fn in_code(&self, selector: u16, ip: u64) -> Option<Self> {
        let mut next = self.at(ip);
        if selector != self.segments[Self::CS].selector {
            let base = (self.mode == CpuMode::Real).then(|| u64::from(selector) * 16)?;
            next.segments[Self::CS] = Segment { selector, base };
        }
        Some(next)
    }

    /// The size in bytes of what the CPU pushes on its way to a handler: each of flags, CS and IP.
    pub fn word(&self) -> usize {
        match self.mode {
            CpuMode::Real => 2,
            CpuMode::Protected | CpuMode::Paged => 4,
            CpuMode::Long => 8,
        }
    }

    #[cfg(test)]
    pub(crate) fn set_vectors(&mut self, table: u64, limit: u16) {
        self.vectors = (table, limit);
    }

    /// The selectors: CS, SS, DS, ES, FS, GS, in the order that debuggers have.
    pub fn selectors(&self) -> [u16; 6] {
        let [es, cs, ss, ds, fs, gs] = self.segments.map(|segment| segment.selector);
        [cs, ss, ds, es, fs, gs]
    }

    /// The value of a register that an address is made of, or the base of a segment.
    pub fn value(&self, register: Register) -> Option<u64> {
        if register.is_segment_register() {
            return self.segments.get(register.number()).map(|segment| segment.base);
        }
        let whole = register.full_register();
        whole.is_gpr64().then(|| self.general[whole.number()] & mask(register.size()))
    }

    /// Those that the mode has, with their names.
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        const LONG: [&str; 16] = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8 ", "r9 ", "r10", "r11", "r12", "r13",
            "r14", "r15",
        ];
        const SHORT: [&str; 8] = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
        let (names, ip, flags) = match self.mode {
            CpuMode::Long => (&LONG[..], "rip", "rfl"),
            _ => (&SHORT[..], "eip", "efl"),
        };
        let general = names.iter().copied().zip(self.general);
        general.chain([(ip, self.ip), (flags, self.flags), ("cr2", self.cr2)]).collect()
    }

    /// Those that are not as they were before, the instruction pointer left out, with their names.
    pub fn changed_since(&self, before: &Self) -> Vec<(&'static str, u64)> {
        let all = |of: &Self| {
            let mut all = Self { mode: self.mode, ip: 0, ..of.clone() }.named();
            all.extend(["cr0", "cr3", "cr4", "efer"].into_iter().zip(of.control));
            all.extend(Self::SEGMENTS.into_iter().zip(of.segments.map(|segment| segment.selector.into())));
            all
        };
        let changed = all(self).into_iter().zip(all(before)).filter(|(now, then)| now != then);
        changed.map(|((name, value), _)| (name.trim_end(), value)).collect()
    }
}

/// Those of a CPU whose registers are all zero.
impl Default for Registers {
    fn default() -> Self {
        Self::of(&kvm_regs::default(), &kvm_sregs::default())
    }
}

/// Whether a segment begins at 0, reaches as far as the mode does, and may be written (SDM volume 3A, 3.4.5.1).
fn is_flat(segment: &kvm_segment, mode: CpuMode) -> bool {
    /// Of the type: data that may be written, and whose limit is the highest offset.
    const KIND: u8 = 0b1110;
    const WRITABLE: u8 = 0b0010;
    let (limit, is_data) = match mode {
        CpuMode::Real => (REAL_MODE_END - 1, true),
        _ => (u32::MAX, segment.type_ & KIND == WRITABLE),
    };
    segment.base == 0 && segment.limit >= limit && segment.unusable == 0 && is_data
}

/// Where a code segment begins, by its descriptor (SDM volume 3A, 3.4.5); `None` for one of another kind.
fn code_base(descriptor: u64, mode: CpuMode) -> Option<u64> {
    const PRESENT_CODE: u64 = 0b1001_1000 << 40;
    const LONG: u64 = 1 << 53;
    let base = descriptor >> 16 & 0xFF_FFFF | descriptor >> 56 << 24;
    let is_flat = mode == CpuMode::Long && descriptor & LONG != 0;
    (descriptor & PRESENT_CODE == PRESENT_CODE).then_some(if is_flat { 0 } else { base })
}

/// The bits of a register of so many bytes.
fn mask(bytes: usize) -> u64 {
    if bytes >= 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 }
}

/// The lowest so many bits of a number.
fn mask_of_bits(bits: u32) -> u64 {
    u64::MAX >> 64_u32.saturating_sub(bits)
}

/// Returns KVM's x87 and SSE registers.
pub(super) fn read_fpu(fpu: &kvm_fpu) -> FpuState {
    FpuState {
        st: fpu.fpr,
        xmm: fpu.xmm,
        control: fpu.fcw,
        status: fpu.fsw,
        tags: fpu.ftwx,
        opcode: fpu.last_opcode,
        instruction: fpu.last_ip,
        operand: fpu.last_dp,
        mxcsr: fpu.mxcsr,
    }
}

/// Returns x87 and SSE registers as KVM takes them. `fpu` has the padding.
pub(super) fn write_fpu(state: &FpuState, fpu: kvm_fpu) -> kvm_fpu {
    kvm_fpu {
        fpr: state.st,
        fcw: state.control,
        fsw: state.status,
        ftwx: state.tags,
        last_opcode: state.opcode,
        last_ip: state.instruction,
        last_dp: state.operand,
        xmm: state.xmm,
        mxcsr: state.mxcsr,
        ..fpu
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered() -> Registers {
        let general = std::array::from_fn(|i| 0x1111_2222_3333_4400 + i as u64);
        let mut registers = Registers { general, ..Registers::default() };
        registers.segments[3].base = 0x5000;
        registers
    }

    #[test]
    fn addresses_are_made_of_parts_of_registers() {
        let registers = numbered();
        for (register, value) in [
            (Register::RBX, Some(0x1111_2222_3333_4403)),
            (Register::EBX, Some(0x3333_4403)),
            (Register::SI, Some(0x4406)),
            (Register::R15, Some(0x1111_2222_3333_440F)),
            (Register::DS, Some(0x5000)),
            (Register::SS, Some(0)),
            (Register::XMM0, None),
            (Register::RIP, None),
        ] {
            assert_eq!(registers.value(register), value, "{register:?}");
        }
    }

    #[test]
    fn linear_addresses_wrap_at_4_gib_outside_of_64_bit_code() {
        let at = |bits, base, ip| {
            let registers = Registers { ip, ..Registers::default() };
            registers.in_segments(CpuMode::Protected, bits, base, base)
        };
        assert_eq!(at(32, 0x4000_0000, 0xC000_000E).instruction(), 0xE);
        assert_eq!(at(16, 0xF_FFF0, 0xFFFF).instruction(), 0x10_FFEF, "no wrap at 1 MiB");
        assert_eq!(at(64, 0, 0x1_0000_000E).instruction(), 0x1_0000_000E);
        assert_eq!(at(64, 0, 5).wrapped(u64::MAX), u64::MAX);
    }

    #[test]
    fn the_stack_pointer_of_a_16_bit_stack_is_the_low_half() {
        let mut registers = Registers::default();
        (registers.general[4], registers.general[5]) = (0x0020_FFFE, 0x1234_0010);
        let wide = registers.clone().in_segments(CpuMode::Protected, 32, 0, 0x4000_0000);
        let narrow = registers.in_segments(CpuMode::Real, 16, 0, 0x500);
        assert_eq!((narrow.stack(), narrow.frame()), (0x1_04FE, 0x510));
        assert_eq!(wide.stack(), 0x4020_FFFE);
    }

    #[test]
    fn what_changed_is_named() {
        let before = numbered();
        let mut after = before.clone();
        assert!(after.changed_since(&before).is_empty());
        (after.general[1], after.flags, after.ip, after.segments[0].selector) = (7, 0x46, 5, 0x10);
        assert_eq!(after.changed_since(&before), [("ecx", 7), ("efl", 0x46), ("es", 0x10)]);
    }

    #[test]
    fn registers_go_to_kvm_as_they_came() {
        let regs =
            kvm_regs { rax: 1, rcx: 2, rsp: 3, rdi: 4, r8: 5, rip: 6, rflags: 7, ..Default::default() };
        assert_eq!(Registers::of(&regs, &kvm_sregs::default()).write(), regs);
    }
}
