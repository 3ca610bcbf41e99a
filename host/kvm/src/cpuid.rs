//! The features that guests' CPUs have.

use kvm_bindings::{CpuId, kvm_cpuid_entry2};

/// The CPUID leaves by which KVM offers services of its own to guests, a clock among them. They are hidden, so that runs
/// are the same everywhere.
const PARAVIRTUAL_LEAVES: std::ops::RangeInclusive<u32> = 0x4000_0000..=0x4000_00FF;

/// Removes the features that no guest here can use.
pub(crate) fn trim(cpuid: &mut CpuId) {
    cpuid.retain(|entry| !PARAVIRTUAL_LEAVES.contains(&entry.function));
    cpuid.as_mut_slice().iter_mut().for_each(hide_interrupt_controller);
}

/// Clears the features of a local APIC in a leaf of CPUID, because guests do not have one (SDM volume 2A, "CPUID"; APM
/// volume 3, E.4.2).
fn hide_interrupt_controller(entry: &mut kvm_cpuid_entry2) {
    const APIC: u32 = 1 << 9;
    const X2APIC: u32 = 1 << 21;
    const DEADLINE_TIMER: u32 = 1 << 24;
    const EXTENDED_SPACE: u32 = 1 << 3;
    match entry.function {
        1 => {
            entry.edx &= !APIC;
            entry.ecx &= !(X2APIC | DEADLINE_TIMER);
        }
        0x8000_0001 => {
            entry.edx &= !APIC;
            entry.ecx &= !EXTENDED_SPACE;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_apic_is_hidden_from_guests() {
        let of = |function| {
            let mut entry = kvm_cpuid_entry2 { function, ecx: u32::MAX, edx: u32::MAX, ..Default::default() };
            hide_interrupt_controller(&mut entry);
            (entry.ecx, entry.edx)
        };
        assert_eq!(of(1), (!(1 << 21 | 1 << 24), !(1 << 9)));
        assert_eq!(of(0x8000_0001), (!(1 << 3), !(1 << 9)));
        assert_eq!(of(7), (u32::MAX, u32::MAX));
    }
}
