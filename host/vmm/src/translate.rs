//! The hypercall that returns host virtual addresses.

use guestlab_cpu::{Cpu, walk};

use crate::{
    random::split,
    services::{Console, ConsoleOutput, HvaPolicy, Services},
};

/// Returns the low half of the host virtual address behind a guest-virtual one, as far as the policy allows.
pub(crate) fn host_address(
    services: &mut Services,
    cpu: &mut dyn Cpu,
    console: &mut Console<'_>,
    address: u32,
) -> u32 {
    let registers = cpu.registers().ok();
    let physical = registers.and_then(|registers| walk::physical(&registers, cpu.memory(), address.into()));
    let host_address = physical.and_then(|physical| cpu.memory().host_address(physical));
    match (host_address, services.hva) {
        (Some(address), HvaPolicy::Allow) => split(address).0,
        (None, HvaPolicy::Allow | HvaPolicy::Deny | HvaPolicy::DenyWarned) => {
            console(ConsoleOutput::InvalidAddress);
            0
        }
        (Some(_), HvaPolicy::Deny) => {
            services.hva = HvaPolicy::DenyWarned;
            console(ConsoleOutput::HvaDenied);
            0
        }
        _ => 0,
    }
}
