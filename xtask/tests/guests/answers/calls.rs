//! Makes each of the six hypercalls of part 1b.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{hypercall, println};

guest_rt::entry!(main);

fn main() {
    b"Hello, world!\n".iter().for_each(|&byte| hypercall::print_byte(byte));
    hypercall::print_decimal(42);
    let before = hypercall::exit_count();
    hypercall::print_c_string(c"one exit\n");
    let after = hypercall::exit_count();
    println!("exits: {}", after - before);
    hypercall::print(hypercall::exit_text().as_str().as_bytes());
    println!("translated: {:#x}", hypercall::translate(0xF000_0000));
}
