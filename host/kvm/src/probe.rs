//! What this machine's KVM does of KVM_SET_GUEST_DEBUG, found by trying: a guest of three instructions that
//! all modes read alike.

use guest_abi::{layout::PAGE_SIZE, mode::CpuMode};

use crate::{
    kvm::{Exit, Pace, System, VcpuError, module_name},
    lab::error::Error,
    vmm::boot,
};

/// `nop`, a push of the accumulator, `hlt`.
const CODE: [u8; 3] = [0x90, 0x50, 0xF4];

/// The address of the push.
pub const PUSH: u32 = 1;

/// Where the guest's stack begins. What it pushes has 2 bytes at least.
pub const STACK: u32 = PAGE_SIZE / 2;

/// Checks that guests are stepped in a mode.
///
/// # Errors
///
/// They are not, or KVM refused to make the guest.
pub fn steps(system: &System, mode: CpuMode) -> Result<(), Error> {
    match stops(system, mode, &Pace::Step)? {
        true => Ok(()),
        false => {
            let module = module_name().unwrap_or_else(|| "of unknown kind".into());
            Err(Error::NoSteps { mode: mode.name(), module })
        }
    }
}

/// Whether the guest stops before its end, at a pace.
///
/// # Errors
///
/// KVM refused to make the guest.
pub fn stops(system: &System, mode: CpuMode, pace: &Pace) -> Result<bool, VcpuError> {
    let mut vcpu = boot::tiny(system, mode, &CODE, STACK)?;
    vcpu.set_pace(pace)?;
    loop {
        match vcpu.run()? {
            Exit::Interrupted => {}
            exit => return Ok(matches!(exit, Exit::Debug { .. })),
        }
    }
}
