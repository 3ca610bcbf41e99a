//! The consumer: each turn it takes numbers from the front of the ring.
//! Their number is the turn's quota, or random, from 0 to all items.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{entropy, ring::RingMailbox};

guest_rt::entry!(main);

fn main() {
    let mut random = entropy::generator();
    let mut mailbox = RingMailbox::attach();
    loop {
        let mut turn = mailbox.turn();
        let share = turn.share(turn.count(), &mut random);
        turn.take_each(share, drop);
        turn.end();
    }
}
