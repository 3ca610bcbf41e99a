//! Its main function returns what is no exit status.
//~ error[E0277]: a guest's main function cannot return `u32`
//~ guest_rt::entry!(main);
//~ = note: it returns nothing, an exit status, or a `Result` of these: `fn main()`, `fn main() -> guest_rt::exit::ExitStatus`

#![no_std]
#![no_main]

guest_rt::entry!(main);

fn main() -> u32 {
    7
}
