//! Attaches a mailbox that begins in its memory and ends outside.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{abi::mailbox::Mailbox, boot, hypercall};

guest_rt::entry!(main);

fn main() {
    hypercall::mailbox_attach(boot::info().memory - 4, size_of::<Mailbox>());
}
