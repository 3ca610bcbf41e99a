//! Writes to an address without memory.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // SAFETY: the write harms no memory, because none is there; it leaves the guest.
    unsafe { core::ptr::without_provenance_mut::<u32>(0x4000_0000).write_volatile(1) }
}
