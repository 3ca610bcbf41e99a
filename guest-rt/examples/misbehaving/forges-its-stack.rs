//! Forges a frame pointer that points to itself, and then
//! crashes. A naive walk of its stack would never end.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // A frame: the caller's frame (this one), and the return address.
    let mut frame = [0, main as fn() as usize];
    frame[0] = core::hint::black_box(&raw const frame) as usize;
    // SAFETY: no code uses the frame pointer: the port is not a hypercall, and ends the guest.
    unsafe {
        core::arch::asm!("mov ebp, {frame:e}", "out 0x42, al", frame = in(reg) &raw const frame, options(noreturn))
    }
}
