//! The guest's registers in gdb's form: those of i386 and of x86-64.
//!
//! gdb has one flat space of addresses, and uses the instruction pointer as an address in it. So `$pc` is the linear
//! address of the instruction. Otherwise breakpoints, symbols and disassembly would be wrong for a guest whose code segment
//! does not begin at 0. All other registers are unchanged: a stack pointer is an offset in SS.

use gdbstub::arch::Arch;
use gdbstub_arch::x86::{
    X86_64_SSE, X86_SSE,
    reg::{X86_64CoreRegs, X86CoreRegs, X86SegmentRegs, X87FpuInternalRegs},
};

use guestlab_cpu::{CpuState, FpuState};

/// The encodings of gdb's general registers, in gdb's order: RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP and R8 to R15.
const ORDER: [usize; 16] = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];

/// A gdb architecture for guests.
pub(super) trait GuestArch:
    Arch<Usize: Send, Registers: Send, BreakpointKind: Send> + Send + 'static
{
    /// Returns the registers in gdb's form.
    fn to_gdb(registers: &CpuState) -> Self::Registers;

    /// Sets registers from gdb's. Returns false if the instruction pointer is outside of the code segment.
    #[must_use]
    fn from_gdb(gdb: &Self::Registers, registers: &mut CpuState) -> bool;

    /// Converts an address from gdb's form.
    fn address(address: Self::Usize) -> u64;

    /// Converts an address to gdb's form.
    fn to_usize(address: u64) -> Self::Usize;
}

impl GuestArch for X86_64_SSE {
    fn to_gdb(registers: &CpuState) -> X86_64CoreRegs {
        let float = &registers.fpu;
        X86_64CoreRegs {
            regs: ORDER.map(|place| registers.general[place]),
            eflags: low(registers.flags),
            rip: registers.instruction(),
            segments: segments(registers),
            st: float.st.map(|st| std::array::from_fn(|i| st[i])),
            fpu: fpu(float),
            xmm: float.xmm.map(u128::from_le_bytes),
            mxcsr: float.mxcsr,
        }
    }

    fn from_gdb(gdb: &X86_64CoreRegs, registers: &mut CpuState) -> bool {
        for (place, value) in ORDER.into_iter().zip(gdb.regs) {
            registers.general[place] = value;
        }
        registers.flags = gdb.eflags.into();
        from_float(&gdb.st, &gdb.fpu, &gdb.xmm, gdb.mxcsr, &mut registers.fpu);
        registers.go_to(gdb.rip)
    }

    fn address(address: u64) -> u64 {
        address
    }

    fn to_usize(address: u64) -> u64 {
        address
    }
}

impl GuestArch for X86_SSE {
    fn to_gdb(registers: &CpuState) -> X86CoreRegs {
        let float = &registers.fpu;
        let [eax, ecx, edx, ebx, esp, ebp, esi, edi, ..] = registers.general.map(low);
        X86CoreRegs {
            eax,
            ecx,
            edx,
            ebx,
            esp,
            ebp,
            esi,
            edi,
            eip: low(registers.instruction()),
            eflags: low(registers.flags),
            segments: segments(registers),
            st: float.st.map(|st| std::array::from_fn(|i| st[i])),
            fpu: fpu(float),
            xmm: std::array::from_fn(|i| u128::from_le_bytes(float.xmm[i])),
            mxcsr: float.mxcsr,
        }
    }

    fn from_gdb(gdb: &X86CoreRegs, registers: &mut CpuState) -> bool {
        let X86CoreRegs { eax, ecx, edx, ebx, esp, ebp, esi, edi, .. } = *gdb;
        for (register, value) in registers.general.iter_mut().zip([eax, ecx, edx, ebx, esp, ebp, esi, edi]) {
            *register = value.into();
        }
        registers.flags = gdb.eflags.into();
        from_float(&gdb.st, &gdb.fpu, &gdb.xmm, gdb.mxcsr, &mut registers.fpu);
        registers.go_to(gdb.eip.into())
    }

    fn address(address: u32) -> u64 {
        address.into()
    }

    fn to_usize(address: u64) -> u32 {
        low(address)
    }
}

fn low(value: u64) -> u32 {
    guestlab_vmm::random::split(value).0
}

fn segments(registers: &CpuState) -> X86SegmentRegs {
    let [cs, ss, ds, es, fs, gs] = registers.selectors().map(u32::from);
    X86SegmentRegs { cs, ss, ds, es, fs, gs }
}

fn fpu(float: &FpuState) -> X87FpuInternalRegs {
    X87FpuInternalRegs {
        fctrl: float.control.into(),
        fstat: float.status.into(),
        ftag: full_tags(float.tags),
        fiseg: 0,
        fioff: low(float.instruction),
        foseg: 0,
        fooff: low(float.operand),
        fop: float.opcode.into(),
    }
}

fn from_float(st: &[[u8; 10]], fpu: &X87FpuInternalRegs, xmm: &[u128], mxcsr: u32, registers: &mut FpuState) {
    let word = |value: u32| u16::try_from(value & 0xFFFF).unwrap_or_default();
    for (register, value) in registers.st.iter_mut().zip(st) {
        register[..value.len()].copy_from_slice(value);
    }
    for (register, value) in registers.xmm.iter_mut().zip(xmm) {
        *register = value.to_le_bytes();
    }
    registers.control = word(fpu.fctrl);
    registers.status = word(fpu.fstat);
    registers.tags = short_tags(fpu.ftag);
    registers.opcode = word(fpu.fop);
    registers.mxcsr = mxcsr;
}

/// Converts the short tag word, with one bit for each register (1 is in use), to the full one, with two bits (3 is empty)
/// (Intel SDM volume 1, 8.1.7 and 10.5.1.1).
fn full_tags(short: u8) -> u32 {
    (0..8).filter(|i| short >> i & 1 == 0).map(|i| 3 << (2 * i)).sum()
}

fn short_tags(full: u32) -> u8 {
    (0..8).filter(|i| full >> (2 * i) & 3 != 3).map(|i| 1 << i).sum()
}

#[cfg(test)]
mod tests {
    use guest_abi::mode::CpuMode;

    use super::*;

    fn numbered() -> CpuState {
        let mut state = CpuState::real(0x7000);
        (state.general, state.flags) = (std::array::from_fn(|i| i as u64 + 1), 0x202);
        state.fpu = FpuState { tags: 0b101, mxcsr: 0x1F80, ..FpuState::default() };
        state
    }

    fn back<A: GuestArch>() -> CpuState {
        let state = numbered();
        let mut back = CpuState { ip: 0, fpu: FpuState::default(), ..state.clone() };
        back.general[..8].fill(0);
        assert!(A::from_gdb(&A::to_gdb(&state), &mut back));
        back
    }

    #[test]
    fn registers_come_back_as_they_went() {
        assert_eq!(back::<X86_64_SSE>(), numbered());
        assert_eq!(back::<X86_SSE>(), numbered());
    }

    #[test]
    fn the_instruction_pointer_is_a_linear_address() {
        let mut registers = numbered().in_segments(CpuMode::Real, 16, 0x7C00, 0x9_0000);
        registers.ip = 0x20;
        let mut gdb = X86_SSE::to_gdb(&registers);
        assert_eq!((gdb.eip, gdb.esp), (0x7C20, 5));
        gdb.eip = 0x7C30;
        assert!(X86_SSE::from_gdb(&gdb, &mut registers));
        assert_eq!(registers.ip, 0x30);
        // Below the segment, and behind it.
        for outside in [0x7BFF, 0x1_7C00] {
            gdb.eip = outside;
            assert!(!X86_SSE::from_gdb(&gdb, &mut registers), "{outside:#x}");
        }
    }

    #[test]
    fn names_and_places_agree() {
        let registers = numbered();
        let gdb = X86_SSE::to_gdb(&registers);
        assert_eq!([gdb.eax, gdb.ecx, gdb.edx, gdb.ebx], [1, 2, 3, 4]);
        assert_eq!([gdb.esp, gdb.ebp, gdb.esi, gdb.edi], [5, 6, 7, 8]);
        assert_eq!(gdb.fpu.ftag, 0xFFCC);
        // RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8.
        let gdb = X86_64_SSE::to_gdb(&registers);
        assert_eq!(gdb.regs[..9], [1, 4, 2, 3, 7, 8, 6, 5, 9]);
    }
}
