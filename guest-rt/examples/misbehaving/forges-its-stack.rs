//! Makes its frame pointer lead in a circle and then does what it may not, so that whoever walks its
//! stack had better take care.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    // A frame: the caller's, which is this one, and where the caller goes on.
    let mut frame = [0, main as fn() as usize];
    frame[0] = core::hint::black_box(&raw const frame) as usize;
    // SAFETY: nothing is done with the frame pointer: the port is no hypercall, and ends the guest.
    unsafe {
        core::arch::asm!("mov ebp, {frame:e}", "out 0x42, al", frame = in(reg) &raw const frame, options(noreturn))
    }
}
