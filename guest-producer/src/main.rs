//! The producer: each turn it appends random numbers to the ring. Their
//! number is the turn's quota, or random, from 0 to the free slots.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{
    entropy::{self, Below},
    ring::RingMailbox,
};

/// Small items are easy to follow in a transcript.
const ITEMS_BELOW: u32 = 100;

guest_rt::entry!(main);

fn main() {
    let mut random = entropy::generator();
    let mut mailbox = RingMailbox::attach();
    loop {
        let mut turn = mailbox.turn();
        let share = turn.share(turn.free(), &mut random);
        let item = || random.below(ITEMS_BELOW);
        turn.push_each(share, item);
        turn.end();
    }
}
