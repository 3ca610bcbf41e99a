//! `entry!` is given what is no function's name.
//~ error: `entry!` takes the name of the guest's main function: `guest_rt::entry!(main);`

#![no_std]
#![no_main]

guest_rt::entry!(|| guest_rt::println!("hello"));
