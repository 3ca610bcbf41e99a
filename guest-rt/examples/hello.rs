//! Prints a greeting, and makes each of the course's hypercalls once. The text is the same in
//! every CPU mode. With `--allow-hva` the last line has the host's address of this guest's memory.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{boot, hypercall, print, println};

guest_rt::entry!(main);

/// An address without memory in every guest.
const UNMAPPED: usize = 0xF000_0000;

fn main() {
    let info = boot::info();
    println!("hello from VM {}, which has {} KiB of memory", info.vm, info.memory >> 10);

    b"a byte at a time\n".iter().for_each(|&byte| hypercall::print_byte(byte));
    [0, 2048, u32::MAX].into_iter().for_each(hypercall::print_decimal);

    let before = hypercall::exit_count();
    hypercall::print_c_string(c"a string of any length costs one exit\n");
    let after = hypercall::exit_count();
    println!("exits: {before} before the string, {after} after it and this call");
    print!("{}", hypercall::exit_text().as_str());

    println!("an unmapped address in the host: {:#x}", hypercall::translate(UNMAPPED));
    println!("an address of mine in the host: {:#x}", hypercall::translate(main as fn() as usize));
}
