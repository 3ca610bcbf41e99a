//! Writes to an unmapped address. Only long mode has one: the other
//! modes map all 4 GiB of their address space, or have no page tables.

#![no_std]
#![no_main]

guest_rt::entry!(main);

#[cfg(target_pointer_width = "64")]
fn main() {
    // SAFETY: the exception ends the guest here.
    unsafe { core::ptr::without_provenance_mut::<u32>(0x10_0000_0000).write_volatile(1) }
}

#[cfg(not(target_pointer_width = "64"))]
fn main() -> guest_rt::exit::ExitStatus {
    guest_rt::println!("only long mode has addresses that are not mapped");
    guest_rt::exit::ExitStatus::FAILURE
}
