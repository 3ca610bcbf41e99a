//! Reads through a null pointer.

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() {
    let value: u32;
    // SAFETY: the null page has no memory; the read leaves the guest for good.
    unsafe {
        core::arch::asm!("mov {value:e}, dword ptr [{null}]", value = out(reg) value, null = in(reg) core::ptr::null::<u32>())
    }
    guest_rt::println!("read {value}");
}
