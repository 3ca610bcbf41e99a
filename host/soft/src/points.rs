//! Breakpoints and watchpoints as data.

use alloc::vec::Vec;

use guestlab_cpu::{Breakpoint, BreakpointKind};

/// The highest bit of [`Exit::Debug`], which stands for all breakpoints from this index on.
pub(crate) const LAST: usize = 63;

/// All breakpoints and watchpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points {
    /// Those of the debugger, in the order in which it set them.
    pub(crate) of_debugger: Vec<Breakpoint>,
    pub(crate) all: Vec<Point>,
    /// There are points on instructions.
    pub(crate) on_code: bool,
    /// There are points on data.
    pub(crate) on_data: bool,
    /// Those of the debugger that the instruction has met, as the bits of [`Exit::Debug`].
    pub(crate) met: u64,
    /// Those of the guest that the instruction has met, as bits of DR6.
    pub(crate) met_of_guest: u64,
    /// The debugger has stopped at the instruction at this address: the next run passes it.
    pub(crate) passed: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) owner: Owner,
    pub(crate) at: Breakpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The debugger, with the point's bit of [`Exit::Debug`].
    Debugger(u64),
    /// The guest, with the point's bit of DR6.
    Guest(u64),
}

impl Point {
    pub(crate) fn is_on_code(&self) -> bool {
        self.at.kind == BreakpointKind::Execute
    }

    /// Returns true if an access to data meets the point.
    pub(crate) fn is_met(&self, linear: u64, size: u8, write: bool) -> bool {
        let len = match self.at.kind {
            BreakpointKind::Execute => return false,
            BreakpointKind::Write { len } if write => len,
            BreakpointKind::Write { .. } => return false,
            BreakpointKind::Access { len } => len,
        };
        linear.wrapping_sub(self.at.address) < len.into()
            || self.at.address.wrapping_sub(linear) < size.into()
    }
}

impl Points {
    pub(crate) fn of_debugger(&self) -> &[Breakpoint] {
        &self.of_debugger
    }

    /// Returns true if an instruction at a linear address begins a block: there is a point on it.
    pub(crate) fn is_on(&self, linear: u64) -> bool {
        self.on_code && self.all.iter().any(|point| point.is_on_code() && point.at.address == linear)
    }

    pub(crate) fn meet(&mut self, owner: Owner) {
        match owner {
            Owner::Debugger(bit) => self.met |= bit,
            Owner::Guest(bit) => self.met_of_guest |= bit,
        }
    }

    /// Returns true if the last instruction has met a point.
    #[inline]
    pub(crate) fn are_met(&self) -> bool {
        self.met | self.met_of_guest != 0
    }

    /// Forgets the points that an instruction has met which did not end.
    pub(crate) fn forget_met(&mut self) {
        (self.met, self.met_of_guest) = (0, 0);
    }
}

/// Returns the points that DR0 to DR3 and DR7 describe (Intel SDM volume 3B, 17.2.4). Points on ports are left out.
pub(crate) fn in_registers(debug: &[u64; 8]) -> impl Iterator<Item = Point> {
    let (addresses, control) = ([debug[0], debug[1], debug[2], debug[3]], debug[7]);
    let enabled = (0..4_usize).filter(move |index| control >> (2 * index) & 3 != 0);
    enabled.filter_map(move |index| {
        let fields = control >> (16 + 4 * index);
        let len = [1, 2, 8, 4][(fields >> 2 & 3) as usize];
        let kind = match fields & 3 {
            0 => BreakpointKind::Execute,
            1 => BreakpointKind::Write { len },
            3 => BreakpointKind::Access { len },
            _ => return None,
        };
        // The low bits of the address of data do not count.
        let unused = if kind == BreakpointKind::Execute { 0 } else { u64::from(len) - 1 };
        let at = Breakpoint { address: addresses[index] & !unused, kind };
        Some(Point { owner: Owner::Guest(1 << index), at })
    })
}
