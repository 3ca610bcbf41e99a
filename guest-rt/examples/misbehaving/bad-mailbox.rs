//! Attaches a mailbox that begins inside its memory and ends outside.

#![no_std]
#![no_main]

use guest_rt::{abi::mailbox::Mailbox, boot, hypercall};

guest_rt::entry!(main);

fn main() {
    // SAFETY: the host refuses a mailbox that is not entirely in memory, and ends the guest.
    unsafe { hypercall::mailbox_attach(boot::info().memory - 4, size_of::<Mailbox>()) };
}
