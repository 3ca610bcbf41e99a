//! The producer: each turn it appends random numbers to the ring, as many as it is told to, or
//! a random number of them from none to all that there is room for.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{
    entropy::{self, Below},
    ring::RingMailbox,
};

/// Items are small numbers, so that a person can follow them.
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
