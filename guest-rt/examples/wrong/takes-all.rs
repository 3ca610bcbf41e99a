//! A consumer that takes all items, whatever number it is told. Where it is told as many as there are, nothing is
//! wrong.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::ring::RingMailbox;

guest_rt::entry!(main);

fn main() {
    let mut mailbox = RingMailbox::attach();
    loop {
        let mut turn = mailbox.turn();
        let count = turn.count();
        turn.take_each(count, drop);
        turn.end();
    }
}
