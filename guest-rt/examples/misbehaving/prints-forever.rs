//! Prints without end.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

guest_rt::entry!(main);

fn main() {
    loop {
        guest_rt::println!("and on");
    }
}
