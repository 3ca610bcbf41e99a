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
    /// The guest's points on ports.
    pub(crate) on_ports: Vec<PortPoint>,
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

/// A point on a range of ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortPoint {
    owner: Owner,
    first: u64,
    len: u8,
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
        overlaps((self.at.address, len), (linear, size))
    }
}

/// Returns true if two ranges have a byte in common. Each is its start and its length.
fn overlaps((a, a_len): (u64, u8), (b, b_len): (u64, u8)) -> bool {
    b.wrapping_sub(a) < a_len.into() || a.wrapping_sub(b) < b_len.into()
}

impl Points {
    pub(crate) fn of_debugger(&self) -> &[Breakpoint] {
        &self.of_debugger
    }

    /// Returns true if an instruction at a linear address begins a block: there is a point on it.
    pub(crate) fn is_on(&self, linear: u64) -> bool {
        self.on_code && self.all.iter().any(|point| point.is_on_code() && point.at.address == linear)
    }

    /// Returns true if an access to a port meets a point.
    pub(crate) fn are_on_port(&self, port: u16, size: u8) -> bool {
        self.on_ports.iter().any(|point| overlaps((point.first, point.len), (port.into(), size)))
    }

    /// Finds the points that an access to a port meets.
    pub(crate) fn meet_port(&mut self, port: u16, size: u8) {
        for index in 0..self.on_ports.len() {
            let PortPoint { owner, first, len } = self.on_ports[index];
            if overlaps((first, len), (port.into(), size)) {
                self.meet(owner);
            }
        }
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

/// An enabled point of the debug registers (Intel SDM volume 3B, 17.2.4 and 17.2.5).
struct Enabled {
    owner: Owner,
    address: u64,
    len: u8,
    /// The field R/W.
    kind: u64,
}

fn enabled(debug: &[u64; 8]) -> impl Iterator<Item = Enabled> {
    let (addresses, control) = ([debug[0], debug[1], debug[2], debug[3]], debug[7]);
    let enabled = (0..4_usize).filter(move |index| control >> (2 * index) & 3 != 0);
    enabled.map(move |index| {
        let fields = control >> (16 + 4 * index);
        let len = [1, 2, 8, 4][(fields >> 2 & 3) as usize];
        // The low bits of the address do not count, but for instructions.
        let kind = fields & 3;
        let unused = if kind == 0 { 0 } else { u64::from(len) - 1 };
        Enabled { owner: Owner::Guest(1 << index), address: addresses[index] & !unused, len, kind }
    })
}

/// Returns the points on memory that DR0 to DR3 and DR7 describe.
pub(crate) fn in_registers(debug: &[u64; 8]) -> impl Iterator<Item = Point> {
    enabled(debug).filter_map(|Enabled { owner, address, len, kind }| {
        let kind = match kind {
            0 => BreakpointKind::Execute,
            1 => BreakpointKind::Write { len },
            3 => BreakpointKind::Access { len },
            _ => return None,
        };
        Some(Point { owner, at: Breakpoint { address, kind } })
    })
}

/// Returns the points on ports that the debug registers describe. There are such points with CR4.DE only.
pub(crate) fn on_ports(debug: &[u64; 8]) -> impl Iterator<Item = PortPoint> {
    let on_ports = enabled(debug).filter(|enabled| enabled.kind == 2);
    on_ports.map(|Enabled { owner, address, len, .. }| PortPoint { owner, first: address, len })
}
