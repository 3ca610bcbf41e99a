//! What this machine's KVM does for a debugger, found by trying.

use guest_abi::mode::CpuMode;

use super::breakpoints::Ability;
use crate::{
    kvm::{
        Pace, Point, PointKind, System,
        step::probe::{PUSH, STACK, steps, stops},
    },
    lab::error::Error,
};

/// What debug registers do for a guest in a mode.
///
/// # Errors
///
/// There are not even single steps, or KVM refused to make the guest.
pub(super) fn ability(system: &System, mode: CpuMode) -> Result<Ability, Error> {
    steps(system, mode)?;
    let point = |address: u32, kind| Pace::To(vec![Point { address: address.into(), kind }]);
    Ok(Ability {
        execute: stops(system, mode, &point(PUSH, PointKind::Execute))?,
        data: stops(system, mode, &point(STACK - 2, PointKind::Write { len: 2 }))?,
    })
}
