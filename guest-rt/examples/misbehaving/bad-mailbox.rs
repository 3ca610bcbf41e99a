//! Attaches a mailbox that begins in its memory and ends outside.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{
    abi::{block::MailboxAttach, mailbox::Mailbox},
    boot, hypercall,
};

guest_rt::entry!(main);

fn main() {
    let address = boot::info().memory - 4;
    hypercall::mailbox_attach(MailboxAttach { address, size: size_of::<Mailbox>() as u32 });
}
