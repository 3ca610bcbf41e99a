//! A guest without an entry.
//~ error: the guest has no entry: its main.rs must say `guest_rt::entry!(main);`

#![no_std]
#![no_main]

pub fn main() {
    guest_rt::println!("nobody calls this");
}
