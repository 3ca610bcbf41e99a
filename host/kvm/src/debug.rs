//! A vCPU under a debugger: single steps, breakpoints and watchpoints in its debug registers (KVM API,
//! 4.87 `KVM_SET_GUEST_DEBUG`), its registers to be read and written, and its linear addresses.

use guest_abi::{layout::PAGE_SIZE, mode::CpuMode};
use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_INJECT_DB, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, Msrs,
    kvm_guest_debug, kvm_msr_entry, kvm_regs,
};
use x86_64::registers::{control::Cr0Flags, rflags::RFlags};

use guestlab_cpu::FpuState;

use super::{
    Registers, Vcpu, VcpuError,
    registers::{read_fpu, write_fpu},
    vcpu::call,
};

const TRAP_FLAG: u64 = RFlags::TRAP_FLAG.bits();

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

impl Vcpu {
    /// Sets how far the next entries go. [`Pace::Step`] is to be set before each: on kvm-amd a step over
    /// an instruction that is emulated loses the trap flag otherwise.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn set_pace(&mut self, pace: &Pace) -> Result<(), VcpuError> {
        let own = self.hidden_trap_flag;
        if *pace == Pace::Step && own.is_none() {
            let flags = self.vcpu.get_regs().map_err(call("KVM_GET_REGS"))?.rflags;
            self.hidden_trap_flag = Some(flags & TRAP_FLAG != 0);
        }
        let mut debug = kvm_guest_debug::default();
        match pace {
            Pace::Free => {}
            Pace::Step => debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
            Pace::To(points) => {
                debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
                debug.arch.debugreg = debug_registers(points);
            }
        }
        self.vcpu.set_guest_debug(&debug).map_err(call("KVM_SET_GUEST_DEBUG"))?;
        if *pace != Pace::Step && own.is_some() {
            let registers = self.registers()?;
            self.hidden_trap_flag = None;
            // KVM has taken the step's flag away, and with it the guest's own.
            if own == Some(true) {
                self.set_registers(&registers)?;
            }
        }
        Ok(())
    }

    /// Raises a debug exception of the guest's own before its next instruction, with these bits in DR6 beside
    /// those that are there.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn raise_debug_exception(&mut self, dr6: u64) -> Result<(), VcpuError> {
        self.set_pace(&Pace::Free)?;
        let mut registers = self.vcpu.get_debug_regs().map_err(call("KVM_GET_DEBUGREGS"))?;
        registers.dr6 |= dr6;
        self.vcpu.set_debug_regs(&registers).map_err(call("KVM_SET_DEBUGREGS"))?;
        let debug = kvm_guest_debug { control: KVM_GUESTDBG_INJECT_DB, ..Default::default() };
        self.vcpu.set_guest_debug(&debug).map_err(call("KVM_SET_GUEST_DEBUG"))
    }

    /// Of some points, a bit each, those that the guest itself has set in its debug registers.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn own_points(&self, points: u8) -> Result<u64, VcpuError> {
        let dr7 = self.vcpu.get_debug_regs().map_err(call("KVM_GET_DEBUGREGS"))?.dr7;
        let enabled = (0..Pace::MAX_POINTS).filter(|index| dr7 >> (2 * index) & 0b11 != 0);
        Ok(enabled.fold(0, |all, index| all | 1 << index) & u64::from(points))
    }

    /// The flags that `syscall` clears (the register SFMASK); 0 where there is no such register.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn syscall_mask(&self) -> Result<u64, VcpuError> {
        const SFMASK: u32 = 0xC000_0084;
        let entry = kvm_msr_entry { index: SFMASK, ..Default::default() };
        let mut msrs = Msrs::from_entries(&[entry]).expect("one entry is no more than there may be");
        let read = self.vcpu.get_msrs(&mut msrs).map_err(call("KVM_GET_MSRS"))?;
        Ok(msrs.as_slice().first().filter(|_| read == 1).map_or(0, |entry| entry.data))
    }

    /// The registers, but for x87 and SSE.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn registers(&self) -> Result<Registers, VcpuError> {
        let regs = self.vcpu.get_regs().map_err(call("KVM_GET_REGS"))?;
        let sregs = self.vcpu.get_sregs().map_err(call("KVM_GET_SREGS"))?;
        let mut registers = Registers::of(&regs, &sregs);
        if let Some(own) = self.hidden_trap_flag {
            registers.flags = registers.flags & !TRAP_FLAG | if own { TRAP_FLAG } else { 0 };
        }
        Ok(registers)
    }

    /// The x87 and SSE registers.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn float_registers(&self) -> Result<FpuState, VcpuError> {
        let fpu = self.vcpu.get_fpu().map_err(call("KVM_GET_FPU"))?;
        Ok(read_fpu(&fpu))
    }

    /// Sets the general registers, instruction pointer and flags. A segment is more than its selector, so
    /// that those stay.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn set_registers(&mut self, registers: &Registers) -> Result<(), VcpuError> {
        let mut regs = registers.write();
        if let Some(own) = &mut self.hidden_trap_flag {
            *own = regs.rflags & TRAP_FLAG != 0;
            regs.rflags &= !TRAP_FLAG;
        }
        self.vcpu.set_regs(&regs).map_err(call("KVM_SET_REGS"))
    }

    /// Sets the x87 and SSE registers, where they differ.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn set_float_registers(&self, registers: &FpuState) -> Result<(), VcpuError> {
        let fpu = self.vcpu.get_fpu().map_err(call("KVM_GET_FPU"))?;
        if read_fpu(&fpu) == *registers {
            return Ok(());
        }
        self.vcpu.set_fpu(&write_fpu(registers, fpu)).map_err(call("KVM_SET_FPU"))
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

    /// The code segment that a selector stands for, as it is pushed with other bytes: where it begins, the selector,
    /// and how wide its code is in bits. One that cannot be read is taken for the present one.
    pub fn code_segment(&self, now: &Registers, pushed: [u8; 8]) -> (u64, u16, u32) {
        let selector = u16::from_le_bytes([pushed[0], pushed[1]]);
        let present = (now.code_segment().0, selector, now.bits());
        if now.mode() == CpuMode::Real {
            return (u64::from(selector) << 4, selector, 16);
        }
        let (table, limit) = now.descriptors();
        let offset = selector & !0b111;
        let mut descriptor = [0; 8];
        let there = offset > 0 && offset.saturating_add(7) <= limit;
        if selector == now.code_segment().1
            || !there
            || self.read_linear(table.wrapping_add(offset.into()), &mut descriptor) < descriptor.len()
        {
            return present;
        }
        // The base in pieces, and the bits L and D (SDM volume 3A, 3.4.5).
        let [_, _, a, b, c, _, flags, d] = descriptor;
        let is_long = now.mode() == CpuMode::Long && flags & 0x20 != 0;
        match (is_long, flags & 0x40 != 0) {
            (true, _) => (0, selector, 64),
            (false, is_wide) => {
                (u32::from_le_bytes([a, b, c, d]).into(), selector, if is_wide { 32 } else { 16 })
            }
        }
    }

    /// Has the guest go on elsewhere in real mode, at a selector and an offset.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn go_to(&self, (selector, offset): (u16, u16)) -> Result<(), VcpuError> {
        let mut sregs = self.vcpu.get_sregs().map_err(call("KVM_GET_SREGS"))?;
        (sregs.cs.selector, sregs.cs.base) = (selector, u64::from(selector) << 4);
        self.vcpu.set_sregs(&sregs).map_err(call("KVM_SET_SREGS"))?;
        let mut regs = self.vcpu.get_regs().map_err(call("KVM_GET_REGS"))?;
        regs.rip = offset.into();
        self.vcpu.set_regs(&regs).map_err(call("KVM_SET_REGS"))
    }

    /// The guest-physical address behind a linear one, if there is one.
    pub fn physical(&self, address: u64) -> Option<u32> {
        self.pieces(address, 1).next().and_then(|(physical, _)| physical)
    }

    /// The pages' pieces of a linear range: where each is in memory, and which of the bytes it has.
    fn pieces(&self, start: u64, len: usize) -> impl Iterator<Item = (Option<u32>, std::ops::Range<usize>)> {
        let sregs = self.vcpu.get_sregs().unwrap_or_default();
        let paging = sregs.cr0 & Cr0Flags::PAGING.bits() != 0;
        let mode = Registers::of(&kvm_regs::default(), &sregs).mode();
        // Without long mode there are no linear addresses beyond 4 GiB (SDM volume 3A, 3.3).
        let most = if mode == CpuMode::Long { u64::MAX } else { u32::MAX.into() };
        let mut at = 0;
        std::iter::from_fn(move || {
            if at >= len {
                return None;
            }
            let address = start.wrapping_add(at as u64) & most;
            let left = u64::from(PAGE_SIZE) - address % u64::from(PAGE_SIZE);
            let end = usize::try_from(left).map_or(len, |left| len.min(at + left));
            let physical = if paging { self.translate(address) } else { Some(address) };
            let piece = (physical.and_then(|physical| u32::try_from(physical).ok()), at..end);
            at = end;
            Some(piece)
        })
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
