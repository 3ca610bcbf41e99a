//! The message of a mailbox is not made of words.
//~ a mailbox's message has a size that is no multiple of 4 bytes

#![no_std]
#![no_main]

use guest_rt::mailbox::Mailbox;

guest_rt::entry!(main);

fn main() {
    Mailbox::<[u8; 3]>::attach().end_turn();
}
