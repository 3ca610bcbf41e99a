//! Breakpoints and watchpoints: those of a debugger, and those in the guest's debug registers (Intel SDM volume 3B,
//! chapter 17).

use alloc::vec::Vec;

use guestlab_cpu::{Breakpoint, Exit};
use x86_64::registers::control::Cr4Flags;

use crate::{
    access::Access,
    cpu::SoftCpu,
    fault::{AC, DB, Event, Fault, Step, fault_code},
    flags,
    points::{LAST, Owner, Point, in_registers, on_ports},
};

/// DR6: a debug register was about to be accessed while DR7.GD was set.
const BD: u64 = 1 << 13;
/// DR6: a single step.
pub(crate) const BS: u64 = 1 << 14;
/// DR6: a switch to a task with the T flag.
pub(crate) const BT: u64 = 1 << 15;
/// DR7: accesses to debug registers are detected.
const GD: u64 = 1 << 13;

impl SoftCpu {
    /// Sets the debugger's points in place of those before.
    pub(crate) fn set_points(&mut self, points: &[Breakpoint]) {
        self.points.of_debugger = points.into();
        self.find_points();
    }

    /// Finds all points again, after a change of them or of the debug registers.
    pub(crate) fn find_points(&mut self) {
        let had_code = self.points.on_code;
        let of_debugger = self.points.of_debugger.iter().enumerate();
        let of_debugger = of_debugger
            .map(|(index, &at)| Point { owner: Owner::Debugger(1 << index.min(LAST)), at })
            .collect::<Vec<_>>();
        self.points.all = of_debugger.into_iter().chain(in_registers(&self.state.debug)).collect();
        let has_ports = self.state.cr4 & Cr4Flags::DEBUGGING_EXTENSIONS.bits() != 0;
        self.points.on_ports = on_ports(&self.state.debug).filter(|_| has_ports).collect();
        self.points.on_code = self.points.all.iter().any(Point::is_on_code);
        self.points.on_data = self.points.all.iter().any(|point| !point.is_on_code());
        if had_code || self.points.on_code {
            // A block ends before an instruction that has a point.
            self.cache.clear();
        }
        self.refresh();
    }

    /// Sees to an access to data before it is made: raises #AC where the address is not aligned and that is asked for (Intel
    /// SDM volume 3A, 6.15, interrupt 17), and finds the points that it meets.
    #[inline]
    pub(crate) fn check_access(&mut self, linear: u64, size: u8, access: Access) -> Step {
        if self.checks_access { self.check_access_with_care(linear, size, access) } else { Ok(()) }
    }

    #[cold]
    fn check_access_with_care(&mut self, linear: u64, size: u8, access: Access) -> Step {
        if self.checks_alignment && !linear.is_multiple_of(size.into()) && size.is_power_of_two() {
            return Err(fault_code(AC, 0));
        }
        for index in 0..self.points.all.len() {
            let point = self.points.all[index];
            if point.is_met(linear, size, access.write) {
                self.points.meet(point.owner);
                self.stale = true;
            }
        }
        Ok(())
    }

    /// Remembers the instruction that the last run stopped at, if it is the next one and a step does not execute it.
    pub(crate) fn keep_passed(&mut self) {
        let here = self.state.instruction();
        self.points.passed = self.points.passed.filter(|&passed| passed == here && !self.single);
    }

    /// Sees to the points that the last instruction has met.
    pub(crate) fn after_access(&mut self) -> Option<Exit> {
        let of_guest = if self.blocks_traps { 0 } else { core::mem::take(&mut self.points.met_of_guest) };
        let points = core::mem::take(&mut self.points.met);
        let exit = (of_guest != 0).then(|| self.debug_exception(of_guest)).flatten();
        // A step ends anyway: its user knows where the points are.
        exit.or_else(|| (points != 0 && !self.single).then_some(Exit::Debug { points }))
    }

    /// Sees to the points on the next instruction. Returns true if the guest's handler comes first.
    #[cold]
    pub(crate) fn at_point(&mut self) -> Result<bool, Exit> {
        let here = self.state.instruction();
        let (mut points, mut of_guest) = (0, 0);
        for point in self.points.all.iter().filter(|point| point.is_on_code() && point.at.address == here) {
            match point.owner {
                Owner::Debugger(bit) => points |= bit,
                Owner::Guest(bit) => of_guest |= bit,
            }
        }
        // A step executes its instruction, as on KVM: its user knows where the points are.
        if points != 0 && !self.single && self.points.passed.take() != Some(here) {
            self.points.passed = Some(here);
            return Err(Exit::Debug { points });
        }
        if of_guest == 0 || self.blocks_traps || self.flags.has(flags::RF) {
            return Ok(false);
        }
        match self.debug_exception(of_guest) {
            Some(exit) => Err(exit),
            None => Ok(true),
        }
    }

    /// Raises #DB with these bits of DR6.
    pub(crate) fn debug_exception(&mut self, bits: u64) -> Option<Exit> {
        // The points that were met before are forgotten, all else is the guest's to clear (17.2.3).
        self.state.debug[6] = self.state.debug[6] & !0xF | bits;
        self.raise(Fault { vector: DB, code: None })
    }

    /// Raises #DB after an instruction that began with TF set.
    pub(crate) fn single_step(&mut self) -> Option<Exit> {
        let met = core::mem::take(&mut self.points.met_of_guest);
        self.debug_exception(BS | met)
    }

    /// Raises #DB before an access to a debug register, if DR7 asks for it.
    pub(crate) fn detect_access(&mut self) -> Step {
        if self.state.debug[7] & GD == 0 {
            return Ok(());
        }
        self.state.debug[7] &= !GD;
        self.state.debug[6] |= BD;
        Err(Event::Fault(Fault { vector: DB, code: None }))
    }
}
