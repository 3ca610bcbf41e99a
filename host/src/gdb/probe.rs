//! What this machine's KVM does for a debugger, found by trying: a guest of three instructions that all
//! modes read alike.

use guest_abi::{layout::PAGE_SIZE, mode::CpuMode};

use super::points::Ability;
use crate::{
    error::Error,
    kvm::{Exit, Pace, Point, PointKind, System, VcpuError, module_name},
    launch,
};

/// `nop`, a push of the accumulator, `hlt`.
const CODE: [u8; 3] = [0x90, 0x50, 0xF4];

/// Where the guest's stack begins. What it pushes has 2 bytes at least.
const STACK: u32 = PAGE_SIZE / 2;

/// What debug registers do for a guest in a mode.
///
/// # Errors
///
/// There are not even single steps, or KVM refused to make the guest.
pub(super) fn ability(system: &System, mode: CpuMode) -> Result<Ability, Error> {
    if !stops(system, mode, &Pace::Step)? {
        let module = module_name().unwrap_or_else(|| "of unknown kind".into());
        return Err(Error::NoSteps { mode: mode.name(), module });
    }
    let point = |address: u32, kind| Pace::To(vec![Point { address: address.into(), kind }]);
    Ok(Ability {
        execute: stops(system, mode, &point(1, PointKind::Execute))?,
        data: stops(system, mode, &point(STACK - 2, PointKind::Write { len: 2 }))?,
    })
}

fn stops(system: &System, mode: CpuMode, pace: &Pace) -> Result<bool, VcpuError> {
    let mut vcpu = launch::tiny(system, mode, &CODE, STACK)?;
    vcpu.set_pace(pace)?;
    loop {
        match vcpu.run()? {
            Exit::Interrupted => {}
            exit => return Ok(matches!(exit, Exit::Debug { .. })),
        }
    }
}
