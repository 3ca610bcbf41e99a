//! Writes to an address where it has no memory.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: there is no memory, and so none that could be harmed; the write leaves the guest.
    unsafe { core::ptr::without_provenance_mut::<u32>(0x4000_0000).write_volatile(1) }
}
