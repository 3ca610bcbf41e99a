//! The message of a mailbox is not made of words.
//~ the size of a mailbox's message must be a multiple of 4 bytes

#![no_std]
#![no_main]

use guest_rt::mailbox::Mailbox;

guest_rt::entry!(main);

fn main() {
    Mailbox::<[u8; 3]>::attach().end_turn();
}
