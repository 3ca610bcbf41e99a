//! A consumer that panics when it finds exactly three items.

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
        assert!(turn.count() != 3, "three items are one too many");
        for _ in 0..turn.share(turn.count(), &mut random) {
            turn.take().expect("the share is no more than what is there");
        }
        turn.end();
    }
}
