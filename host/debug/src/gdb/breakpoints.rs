//! Breakpoints and watchpoints. The debug registers hold four. If there are more, or if this machine's KVM ignores debug
//! registers, the guest is stepped, and each instruction is compared: slower, but without a limit. `INT3` in the guest's
//! memory does not work everywhere: kvm_pvm does not interpret it, and nested kvm-amd has no debug exit for it.

use gdbstub::target::ext::breakpoints::WatchKind;

use guestlab_cpu::{
    Breakpoint, BreakpointKind, DebugFeatures, Executed,
    instruction::{self, Access},
};

use crate::step::Before;

/// The way to run a guest so that it stops at breakpoints and watchpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Freely, without breakpoints and watchpoints.
    Free,
    /// With these points in the debug registers.
    To(Vec<Breakpoint>),
    /// In single steps.
    Step,
}

/// A breakpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) address: u64,
    /// gdb requested a hardware breakpoint; the answer must say so.
    pub(super) hardware: bool,
}

/// A watchpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) address: u64,
    pub(super) len: u64,
    pub(super) kind: WatchKind,
}

impl Watch {
    /// Returns the watchpoint for a debug register. It must be aligned and have 1, 2, 4 or 8 bytes. Debug registers cannot
    /// watch reads only.
    fn point(self) -> Option<Breakpoint> {
        let len = u8::try_from(self.len).ok().filter(|len| matches!(len, 1 | 2 | 4 | 8))?;
        let kind = match self.kind {
            WatchKind::Write => BreakpointKind::Write { len },
            WatchKind::ReadWrite => BreakpointKind::Access { len },
            WatchKind::Read => return None,
        };
        self.address.is_multiple_of(self.len).then_some(Breakpoint { address: self.address, kind })
    }

    fn is_met_by(self, access: Access) -> bool {
        let kind = match self.kind {
            WatchKind::Write => access.writes,
            WatchKind::Read => access.reads,
            WatchKind::ReadWrite => true,
        };
        let apart = |a: u64, b: u64, len: u64| a.wrapping_sub(b) >= len;
        kind && !(apart(self.address, access.address, access.len)
            && apart(access.address, self.address, self.len))
    }
}

/// The most points that gdb may set. After each step, all of them are compared.
const MAX_POINTS: usize = 1024;

/// All breakpoints and watchpoints.
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    pub(super) breaks: Vec<Break>,
    pub(super) watches: Vec<Watch>,
}

impl Points {
    /// Returns true if one more may be set.
    pub(super) fn has_room(&self) -> bool {
        self.breaks.len() + self.watches.len() < MAX_POINTS
    }

    /// Returns the way to run a guest until it meets one of these.
    pub(super) fn pace(&self, features: DebugFeatures) -> Pace {
        if self.breaks.is_empty() && self.watches.is_empty() {
            return Pace::Free;
        }
        let execute =
            self.breaks.iter().map(|b| Breakpoint { address: b.address, kind: BreakpointKind::Execute });
        let data: Option<Vec<_>> = self.watches.iter().map(|watch| watch.point()).collect();
        let places = match (self.breaks.is_empty(), self.watches.is_empty()) {
            (true, _) => features.watchpoints,
            (false, true) => features.breakpoints,
            (false, false) => features.breakpoints.min(features.watchpoints),
        };
        match data {
            Some(data) if self.breaks.len() + data.len() <= places => Pace::To(execute.chain(data).collect()),
            _ => Pace::Step,
        }
    }

    /// Returns the watchpoint for the bits of a debug exit, if [`pace`](Self::pace) put these points into debug registers.
    pub(super) fn watch_of(&self, bits: u64) -> Option<Watch> {
        const SHARED: usize = 63;
        let data = bits.checked_shr(u32::try_from(self.breaks.len()).unwrap_or(u32::MAX)).unwrap_or(0);
        let index = data.trailing_zeros() as usize;
        // The last bit stands for several points if there are more.
        let is_shared =
            self.breaks.len() + index == SHARED && self.breaks.len() + self.watches.len() > SHARED + 1;
        self.watches.get(index).copied().filter(|_| data != 0 && !is_shared)
    }

    /// Returns the breakpoint at an address.
    pub(super) fn break_at(&self, address: u64) -> Option<Break> {
        self.breaks.iter().copied().find(|b| b.address == address)
    }

    /// Returns the first watchpoint that these instructions met.
    pub(super) fn watch_met(&self, executed: Vec<Executed>) -> Option<Watch> {
        if self.watches.is_empty() {
            return None;
        }
        executed.into_iter().map(Before::from).find_map(|before| {
            let accesses = instruction::accesses(&before.instruction, &before.registers);
            self.watches.iter().copied().find(|watch| accesses.iter().any(|&access| watch.is_met_by(access)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABLE: DebugFeatures = DebugFeatures { steps: true, breakpoints: 4, watchpoints: 4 };

    fn points(breaks: u64, watches: &[Watch]) -> Points {
        let breaks = (0..breaks).map(|address| Break { address, hardware: false }).collect();
        Points { breaks, watches: watches.to_vec() }
    }

    #[test]
    fn debug_registers_are_used_as_far_as_they_go() {
        let watch = Watch { address: 0x1000, len: 4, kind: WatchKind::Write };
        assert_eq!(points(0, &[]).pace(ABLE), Pace::Free);
        assert!(matches!(points(3, &[watch]).pace(ABLE), Pace::To(points) if points.len() == 4));
        assert_eq!(points(4, &[watch]).pace(ABLE), Pace::Step);
        assert_eq!(points(1, &[]).pace(DebugFeatures::default()), Pace::Step);
        let no_data = DebugFeatures { watchpoints: 0, ..ABLE };
        assert_eq!(points(1, &[watch]).pace(no_data), Pace::Step);
        assert!(matches!(points(1, &[]).pace(no_data), Pace::To(_)));
        for odd in [
            Watch { len: 3, ..watch },
            Watch { address: 0x1001, ..watch },
            Watch { kind: WatchKind::Read, ..watch },
        ] {
            assert_eq!(points(0, &[odd]).pace(ABLE), Pace::Step, "{odd:?}");
        }
    }

    #[test]
    fn a_bit_names_its_watchpoint() {
        let watch = Watch { address: 0x1000, len: 4, kind: WatchKind::Write };
        let points = points(1, &[watch, Watch { address: 0x2000, ..watch }]);
        assert_eq!(points.watch_of(0b001), None);
        assert_eq!(points.watch_of(0b100).map(|watch| watch.address), Some(0x2000));
    }

    #[test]
    fn accesses_meet_what_they_overlap() {
        let watch = Watch { address: 0x1000, len: 4, kind: WatchKind::Write };
        let access = |address, len, writes: bool| Access { address, len, reads: !writes, writes };
        assert!(watch.is_met_by(access(0x1003, 1, true)));
        assert!(watch.is_met_by(access(0xFFD, 4, true)));
        assert!(!watch.is_met_by(access(0x1003, 1, false)));
        assert!(!watch.is_met_by(access(0x1004, 4, true)));
        assert!(!watch.is_met_by(access(0xFFC, 4, true)));
    }
}
