//! The consumer: each turn it takes numbers from the front of the ring, as many as it is told
//! to, or a random number of them from none to all that are there.

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
