//! Guests in C: the runtime [`guest_rt`] with a `main` in C.
//!
//! The interface is `guest-rt/include/guestlab.h`. Most of its functions are C, with one port instruction each. This
//! crate calls `main`, and has the functions that use state of the runtime. It becomes part of a guest in two ways:
//!
//! - A package with C files depends on it; `guest-c-build` compiles these files.
//! - `cargo xtask kit` builds it as a static library for each CPU mode, for people without Rust.

#![no_std]

mod checks;
mod random;
mod traps;

use core::ffi::c_int;

use guest_rt::exit::ExitStatus;

guest_rt::entry!(call_main);

unsafe extern "C" {
    /// The guest's own: `int main(void)`. The linker script `c.ld` reports a guest without one.
    safe fn main() -> c_int;
}

/// Calls the `main` in C. The value that it returns is the exit status.
fn call_main() -> ExitStatus {
    ExitStatus(main().cast_unsigned())
}
