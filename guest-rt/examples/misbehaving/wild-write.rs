//! Writes to a wrong address, two calls deep.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    outer(core::ptr::without_provenance_mut(guest_rt::boot::info().memory as usize + 8));
}

#[inline(never)]
fn outer(pointer: *mut u32) {
    inner(core::hint::black_box(pointer));
    guest_rt::println!("not reached");
}

#[inline(never)]
fn inner(pointer: *mut u32) {
    // SAFETY: the write harms no memory, because none is there; it leaves the guest.
    unsafe { pointer.write_volatile(1) }
    core::hint::black_box(pointer);
}
