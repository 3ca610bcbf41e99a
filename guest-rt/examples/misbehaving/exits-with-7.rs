//! Exits with status 7.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::exit::ExitStatus;

guest_rt::entry!(main);

fn main() -> ExitStatus {
    ExitStatus(7)
}
