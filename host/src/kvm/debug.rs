//! A vCPU under a debugger: single steps, breakpoints and watchpoints in its debug registers (KVM API,
//! 4.87 `KVM_SET_GUEST_DEBUG`), its registers to be read and written, and its linear addresses.

use guest_abi::layout::PAGE_SIZE;
use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, kvm_fpu, kvm_guest_debug, kvm_regs,
};
use x86_64::registers::control::Cr0Flags;

use super::{Vcpu, VcpuError, vcpu::call};

/// How far the next entry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Until the guest leaves.
    Free,
    /// That far, or to one of these points: at most [`Pace::MAX_POINTS`].
    To(Vec<Point>),
    /// One instruction; of a repeated string instruction, one repetition.
    Step,
}

impl Pace {
    /// The number of points that the debug registers hold.
    pub const MAX_POINTS: usize = 4;
}

/// A breakpoint or watchpoint, as a debug register has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The linear address.
    pub address: u64,
    /// What meets it.
    pub kind: PointKind,
}

/// What meets a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointKind {
    /// The instruction at the address is about to be executed.
    Execute,
    /// One of `len` bytes, 1, 2, 4 or 8, was written.
    Write {
        /// The number of bytes.
        len: u8,
    },
    /// One of `len` bytes was read or written.
    Access {
        /// The number of bytes.
        len: u8,
    },
}

impl PointKind {
    /// The point's four bits in DR7: R/W and LEN (Intel SDM volume 3B, 17.2.4 "Debug Control Register").
    fn control(self) -> u64 {
        let (rw, len) = match self {
            Self::Execute => (0b00, 1),
            Self::Write { len } => (0b01, len),
            Self::Access { len } => (0b11, len),
        };
        let len = match len {
            2 => 0b01,
            4 => 0b11,
            8 => 0b10,
            _ => 0b00,
        };
        len << 2 | rw
    }
}

/// The debug registers for some points: DR0 to DR3 are their addresses, DR7 says what they are.
fn debug_registers(points: &[Point]) -> [u64; 8] {
    /// Bit 10 reads as 1 always.
    const FIXED: u64 = 1 << 10;
    let mut registers = [0; 8];
    registers[7] = FIXED;
    for (index, point) in points.iter().take(Pace::MAX_POINTS).enumerate() {
        registers[index] = point.address;
        let global_enable = 0b10 << (2 * index);
        registers[7] |= global_enable | point.kind.control() << (16 + 4 * index);
    }
    registers
}

/// A vCPU's registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuRegisters {
    /// RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, and R8 to R15.
    pub general: [u64; 16],
    /// The instruction pointer.
    pub rip: u64,
    /// The flags.
    pub rflags: u64,
    /// The selectors: CS, SS, DS, ES, FS, GS.
    pub segments: [u16; 6],
    /// The bases of these segments.
    pub bases: [u64; 6],
    /// How wide code is: 16, 32 or 64 bits.
    pub bits: u32,
    /// x87 and SSE.
    pub float: FloatRegisters,
}

/// The x87 and SSE registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FloatRegisters {
    /// ST0 to ST7: ten bytes each.
    pub st: [[u8; 16]; 8],
    /// XMM0 to XMM15.
    pub xmm: [[u8; 16]; 16],
    /// The control word.
    pub control: u16,
    /// The status word.
    pub status: u16,
    /// A bit for each register that is in use.
    pub tags: u8,
    /// The last opcode.
    pub opcode: u16,
    /// The last instruction.
    pub instruction: u64,
    /// The last operand.
    pub operand: u64,
    /// SSE's control and status.
    pub mxcsr: u32,
}

impl Vcpu {
    /// Sets how far the next entries go. [`Pace::Step`] is to be set before each: on kvm-amd a step over
    /// an instruction that is emulated loses the trap flag otherwise.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn set_pace(&self, pace: &Pace) -> Result<(), VcpuError> {
        let mut debug = kvm_guest_debug::default();
        match pace {
            Pace::Free => {}
            Pace::Step => debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
            Pace::To(points) => {
                debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
                debug.arch.debugreg = debug_registers(points);
            }
        }
        self.vcpu.set_guest_debug(&debug).map_err(call("KVM_SET_GUEST_DEBUG"))
    }

    /// The general registers and what says how code is read; x87 and SSE are left out.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn core_registers(&self) -> Result<CpuRegisters, VcpuError> {
        let r = self.vcpu.get_regs().map_err(call("KVM_GET_REGS"))?;
        let s = self.vcpu.get_sregs().map_err(call("KVM_GET_SREGS"))?;
        let segments = [s.cs, s.ss, s.ds, s.es, s.fs, s.gs];
        Ok(CpuRegisters {
            general: [
                r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12,
                r.r13, r.r14, r.r15,
            ],
            rip: r.rip,
            rflags: r.rflags,
            segments: segments.map(|segment| segment.selector),
            bases: segments.map(|segment| segment.base),
            bits: match (s.cs.l, s.cs.db) {
                (0, 0) => 16,
                (0, _) => 32,
                _ => 64,
            },
            float: FloatRegisters::default(),
        })
    }

    /// All registers that a debugger shows.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn all_registers(&self) -> Result<CpuRegisters, VcpuError> {
        let fpu = self.vcpu.get_fpu().map_err(call("KVM_GET_FPU"))?;
        Ok(CpuRegisters { float: FloatRegisters::from(&fpu), ..self.core_registers()? })
    }

    /// Sets the general registers, instruction pointer and flags, and x87 and SSE where they differ. A
    /// segment is more than its selector, so that those stay.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn set_registers(&self, registers: &CpuRegisters) -> Result<(), VcpuError> {
        let [rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15] =
            registers.general;
        let (rip, rflags) = (registers.rip, registers.rflags);
        self.vcpu
            .set_regs(&kvm_regs {
                rax,
                rbx,
                rcx,
                rdx,
                rsi,
                rdi,
                rsp,
                rbp,
                r8,
                r9,
                r10,
                r11,
                r12,
                r13,
                r14,
                r15,
                rip,
                rflags,
            })
            .map_err(call("KVM_SET_REGS"))?;
        let fpu = self.vcpu.get_fpu().map_err(call("KVM_GET_FPU"))?;
        if FloatRegisters::from(&fpu) == registers.float {
            return Ok(());
        }
        self.vcpu.set_fpu(&registers.float.write(fpu)).map_err(call("KVM_SET_FPU"))
    }

    /// Copies memory at a linear address; says how many of the bytes are there before one that is not.
    pub fn read_linear(&self, address: u64, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        for (physical, range) in self.pieces(address, buffer.len()) {
            let Some(piece) = buffer.get_mut(range.clone()) else { break };
            if physical.is_none_or(|physical| self.memory().read(physical, piece).is_err()) {
                // The piece may be there in part: holes begin where they please.
                return done;
            }
            done = range.end;
        }
        done
    }

    /// Copies bytes into memory at a linear address, all or none; says whether.
    pub fn write_linear(&self, address: u64, bytes: &[u8]) -> bool {
        let pieces: Vec<_> = self.pieces(address, bytes.len()).collect();
        let len = |range: &std::ops::Range<usize>| u32::try_from(range.len()).unwrap_or(u32::MAX);
        let there = |physical: &Option<u32>, range| {
            physical.is_some_and(|physical| self.memory().contains(physical, len(range)))
        };
        pieces.iter().all(|(physical, range)| there(physical, range))
            && pieces.into_iter().all(|(physical, range)| {
                physical.is_some_and(|physical| self.memory().write(physical, &bytes[range]).is_ok())
            })
    }

    /// The pages' pieces of a linear range: where each is in memory, and which of the bytes it has.
    fn pieces(&self, start: u64, len: usize) -> impl Iterator<Item = (Option<u32>, std::ops::Range<usize>)> {
        let paging = self.vcpu.get_sregs().is_ok_and(|sregs| sregs.cr0 & Cr0Flags::PAGING.bits() != 0);
        let mut at = 0;
        std::iter::from_fn(move || {
            if at >= len {
                return None;
            }
            let address = start.wrapping_add(at as u64);
            let left = u64::from(PAGE_SIZE) - address % u64::from(PAGE_SIZE);
            let end = usize::try_from(left).map_or(len, |left| len.min(at + left));
            let physical = if paging { self.translate(address) } else { Some(address) };
            let piece = (physical.and_then(|physical| u32::try_from(physical).ok()), at..end);
            at = end;
            Some(piece)
        })
    }
}

impl FloatRegisters {
    fn write(&self, fpu: kvm_fpu) -> kvm_fpu {
        kvm_fpu {
            fpr: self.st,
            fcw: self.control,
            fsw: self.status,
            ftwx: self.tags,
            last_opcode: self.opcode,
            last_ip: self.instruction,
            last_dp: self.operand,
            xmm: self.xmm,
            mxcsr: self.mxcsr,
            ..fpu
        }
    }
}

impl From<&kvm_fpu> for FloatRegisters {
    fn from(fpu: &kvm_fpu) -> Self {
        Self {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_become_debug_registers() {
        let points = [
            Point { address: 0x1000, kind: PointKind::Execute },
            Point { address: 0x2000, kind: PointKind::Write { len: 4 } },
            Point { address: 0x3000, kind: PointKind::Access { len: 8 } },
        ];
        let registers = debug_registers(&points);
        assert_eq!(registers[..4], [0x1000, 0x2000, 0x3000, 0]);
        assert_eq!(registers[7], 0x0BD0_042A);
        assert_eq!(debug_registers(&[])[7], 0x400);
    }
}
