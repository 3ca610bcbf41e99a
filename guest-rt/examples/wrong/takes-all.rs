//! A consumer that takes all items, whatever its quota. If the
//! quota is at least the number of items, nothing is wrong.

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
