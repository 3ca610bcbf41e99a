//! Its main function has a parameter.
//~ error[E0308]: mismatched types
//~ guest_rt::entry!(main);
//~ incorrect number of function parameters
//~ pub fn main_without_parameters
//~ error: the guests do not compile for `protected` mode; cargo says why above

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main(argument: u32) {
    guest_rt::println!("{argument}");
}
