//! Breakpoints and watchpoints as debug registers (Intel SDM volume 3B, 17.2).

use guestlab_cpu::{Breakpoint, BreakpointKind};
use x86_64::registers::rflags::RFlags;

/// The trap flag of RFLAGS.
pub(crate) const TRAP_FLAG: u64 = RFlags::TRAP_FLAG.bits();

/// BS in DR6: the trap flag caused the debug exception (Intel SDM volume 3B, 17.2.3).
pub(crate) const SINGLE_STEP: u64 = 1 << 14;

/// The number of breakpoints and watchpoints that the debug registers hold.
pub(crate) const MAX_POINTS: usize = 4;

/// The farthest point of the next entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The next exit.
    #[default]
    Free,
    /// The next exit, or one of these points: at most [`MAX_POINTS`].
    To(Vec<Breakpoint>),
    /// One instruction; of a repeated string instruction, one repetition.
    Step,
}

/// Returns a point's four bits in DR7: R/W and LEN (Intel SDM volume 3B, 17.2.4 "Debug Control Register").
fn control(kind: BreakpointKind) -> u64 {
    let (rw, len) = match kind {
        BreakpointKind::Execute => (0b00, 1),
        BreakpointKind::Write { len } => (0b01, len),
        BreakpointKind::Access { len } => (0b11, len),
    };
    let len = match len {
        2 => 0b01,
        4 => 0b11,
        8 => 0b10,
        _ => 0b00,
    };
    len << 2 | rw
}

/// Returns the debug registers for some points: DR0 to DR3 are their addresses, DR7 has their kinds.
pub(crate) fn debug_registers(points: &[Breakpoint]) -> [u64; 8] {
    /// Bit 10 always reads as 1.
    const FIXED: u64 = 1 << 10;
    let mut registers = [0; 8];
    registers[7] = FIXED;
    for (index, point) in points.iter().take(MAX_POINTS).enumerate() {
        registers[index] = point.address;
        let global_enable = 0b10 << (2 * index);
        registers[7] |= global_enable | control(point.kind) << (16 + 4 * index);
    }
    registers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_become_debug_registers() {
        let points = [
            Breakpoint { address: 0x1000, kind: BreakpointKind::Execute },
            Breakpoint { address: 0x2000, kind: BreakpointKind::Write { len: 4 } },
            Breakpoint { address: 0x3000, kind: BreakpointKind::Access { len: 8 } },
        ];
        let registers = debug_registers(&points);
        assert_eq!(registers[..4], [0x1000, 0x2000, 0x3000, 0]);
        assert_eq!(registers[7], 0x0BD0_042A);
        assert_eq!(debug_registers(&[])[7], 0x400);
    }
}
