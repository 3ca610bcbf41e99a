//! Takes one turn of an exchange, and exits.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::ring::RingMailbox;

guest_rt::entry!(main);

fn main() {
    let mut mailbox = RingMailbox::attach();
    mailbox.turn().end();
}
