//! The reasons why an engine stops executing a guest.

use alloc::vec::Vec;
use core::fmt;

/// The suberror of [`Exit::InternalError`] for an instruction that the engine does not have, or that it cannot fetch
/// (`KVM_INTERNAL_ERROR_EMULATION`).
pub const EMULATION: u32 = 1;

/// The suberror of [`Exit::InternalError`] for an exception or an interrupt that cannot be delivered, because the stack or a
/// table is where there is no memory (`KVM_INTERNAL_ERROR_DELIVERY_EV`).
pub const DELIVERY: u32 = 3;

/// The reason why a vCPU stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// `out`, or the part of `rep outs` that one exit reports.
    Out {
        /// The port.
        port: u16,
        /// The width of one access.
        width: Width,
        /// The values, in order. String instructions have more than one.
        values: Values,
    },
    /// `in`, or the part of `rep ins` that one exit reports. The vCPU waits for [`Cpu::answer`](crate::Cpu::answer).
    In {
        /// The port.
        port: u16,
        /// The width of one access.
        width: Width,
        /// The number of accesses. String instructions have more than one.
        count: u32,
    },
    /// A read or write of a guest-physical address that has no memory.
    Mmio {
        /// The guest-physical address.
        address: u64,
        /// The number of bytes, 1 to 8.
        len: u32,
        /// [`Direction::Out`] is a write.
        direction: Direction,
    },
    /// `hlt`. A CPU would wait here for an interrupt: the caller does so, or ends the guest. The next run continues behind
    /// the instruction.
    Halt {
        /// The interrupt flag (RFLAGS.IF) after the instruction.
        interrupts: bool,
    },
    /// The guest can take an interrupt now. [`Cpu::interrupt`](crate::Cpu::interrupt) asked for this exit; the guest did not cause it.
    InterruptWindow,
    /// The guest lowered the priority below which its CPU takes no interrupts (CR8). Some KVM modules report this. There
    /// is no interrupt controller, so it has no effect.
    Priority,
    /// A triple fault, or another event that shuts the CPU down (Intel SDM volume 3A, 6.15, interrupt 8).
    Shutdown,
    /// The hardware refused to enter the guest.
    FailEntry {
        /// The hardware's reason.
        reason: u64,
    },
    /// The engine cannot continue. For KVM this is `KVM_EXIT_INTERNAL_ERROR`.
    InternalError {
        /// The reason: [`EMULATION`], [`DELIVERY`], or another number of KVM's.
        suberror: u32,
    },
    /// A breakpoint, a watchpoint, or the end of a step. The debugger asked for this exit; the guest did not cause it.
    Debug {
        /// One bit for each breakpoint that was met: bit N stands for the Nth of [`Cpu::set_breakpoints`](crate::Cpu::set_breakpoints),
        /// and bit 63 for all further ones.
        points: u64,
    },
    /// Another thread or a signal stopped the vCPU. The guest did not cause this exit.
    Interrupted,
    /// Any other reason, by the engine's number for it.
    Other {
        /// The number. For KVM it is the one in `linux/kvm.h`.
        reason: u32,
    },
}

/// The direction of a port or memory access, seen from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The guest reads.
    In,
    /// The guest writes.
    Out,
}

/// The width of a port access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte = 1,
    /// 16 bits.
    Word = 2,
    /// 32 bits.
    Long = 4,
}

impl Width {
    /// Returns the width in bytes.
    pub fn bytes(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-bit", 8 * self.bytes())
    }
}

/// The values of one port exit. Nearly always there is one, which needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// The one value.
    One(u32),
    /// The values of a string instruction.
    Many(Vec<u32>),
}

impl Values {
    /// Splits the bytes of an exit into values of one width, little-endian.
    pub fn from_bytes(bytes: &[u8], width: Width) -> Self {
        let mut values = bytes.chunks_exact(width.bytes()).map(little_endian);
        match (values.next(), values.next()) {
            (Some(one), None) => Self::One(one),
            (first, second) => Self::Many(first.into_iter().chain(second).chain(values).collect()),
        }
    }

    /// Returns the values in order.
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(value) => core::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// Returns the number that up to four bytes are, the lowest byte first.
#[inline]
pub fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn bytes_become_values_of_one_width() {
        assert_eq!(Values::from_bytes(&[0x34, 0x12], Width::Word), Values::One(0x1234));
        assert_eq!(Values::from_bytes(&[1, 0, 0, 0, 2, 0, 0, 0], Width::Long), Values::Many(vec![1, 2]));
        assert_eq!(Values::from_bytes(b"ab", Width::Byte).as_slice(), [0x61, 0x62]);
        assert_eq!(Values::from_bytes(&[], Width::Byte).as_slice(), [0_u32; 0]);
    }
}
