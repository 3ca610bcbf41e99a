//! The start of a guest, which all trials share: up to the first time that it reads its seed.
//!
//! What a guest does before it reads its seed does not depend on the seed. So an engine that counts instructions runs that
//! part once, and each trial begins there with a seed of its own.

use std::ops::ControlFlow;

use guest_abi::{boot::BootInfo, layout};
use guestlab_cpu::{Breakpoint, BreakpointKind, Exit, StateDigest, Until};

use crate::{
    lab::{
        error::Error,
        exchange::Vms,
        session::Session,
        vm::{Platform, Vm, VmMoment},
    },
    vmm::{BootError, Stop},
};

/// Two seeds. Guests that differ in them only must be in the same state at their start.
const SEEDS: [u64; 2] = [0, 0x5555_5555_5555_5555];

/// The address of the seed, and the number of its bytes that one watchpoint takes.
const SEED: u64 = layout::BOOT_INFO as u64 + std::mem::offset_of!(BootInfo, seed) as u64;
const WATCHED: u8 = 8;

/// The starts of all VMs, to return to.
pub(super) struct Starts(Vec<VmMoment>);

impl Starts {
    /// Finds the starts. Returns `None` if the engine cannot return to them, or a guest cannot be started so.
    ///
    /// # Errors
    ///
    /// The engine or the system failed.
    pub(super) fn find(
        system: &Platform,
        vms: &Vms,
        machines: &mut [Vm],
        session: &Session<'_>,
    ) -> Result<Option<Self>, Error> {
        if machines.iter().any(|machine| machine.cpu().instructions().is_none() || machine.is_foreign()) {
            return Ok(None);
        }
        session.watched(|stop| {
            vms.restart(system, machines, SEEDS[0])?;
            let ends = machines.iter_mut().map(|machine| length(machine, stop));
            let ends = ends.collect::<Result<Vec<_>, Error>>()?;
            let mut digests = Vec::new();
            for seed in SEEDS {
                vms.restart(system, machines, seed)?;
                let reached = machines.iter_mut().zip(&ends).map(|(machine, &end)| reach(machine, end, stop));
                match reached.collect::<Result<Option<Vec<_>>, Error>>()? {
                    Some(reached) => digests.push(reached),
                    None => return Ok(None),
                }
            }
            // A guest can reach its seed by another address, too.
            if digests[0] != digests[1] {
                return Ok(None);
            }
            Ok(machines.iter_mut().map(Vm::moment).collect::<Option<_>>().map(Self))
        })
    }

    /// Starts all guests again with another seed.
    ///
    /// # Errors
    ///
    /// A guest's memory has no room for its seed.
    pub(super) fn start(&mut self, machines: &mut [Vm], seed: u64) -> Result<(), BootError> {
        for (machine, start) in machines.iter_mut().zip(&mut self.0) {
            machine.return_to(start);
            machine.reseed(seed)?;
        }
        Ok(())
    }
}

/// Runs a guest until it reads its seed, or stops. Returns the number of instructions before.
fn length(machine: &mut Vm, stop: &dyn Stop) -> Result<u64, Error> {
    let halves = [SEED, SEED + u64::from(WATCHED)];
    let kind = BreakpointKind::Access { len: WATCHED };
    machine.cpu_mut().set_breakpoints(&halves.map(|address| Breakpoint { address, kind }))?;
    let read = loop {
        match machine.enter(Until::Exit, stop, &mut |_| true)? {
            ControlFlow::Continue(Exit::Debug { .. }) => break true,
            ControlFlow::Continue(_) => {}
            ControlFlow::Break(_) => break false,
        }
    };
    machine.cpu_mut().set_breakpoints(&[])?;
    // The watchpoint is met behind the instruction. One that left the guest has not ended.
    let end = machine.cpu().instructions().unwrap_or(0);
    Ok(end.saturating_sub(u64::from(read)))
}

/// Runs a guest up to its start. Returns the digest of its state without its seed, or `None` if it stopped before.
fn reach(machine: &mut Vm, start: u64, stop: &dyn Stop) -> Result<Option<StateDigest>, Error> {
    if !machine.run_to(start, stop, &mut |_| true)? {
        return Ok(None);
    }
    machine.reseed(SEEDS[0]).map_err(BootError::from)?;
    Ok(Some(machine.digest()?))
}
