//! A consumer that takes an item from a ring that is empty at the beginning of its turn.

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
        if turn.count() == 0 {
            let mut pointers = turn.pointers();
            pointers.count = 1;
            turn.set_pointers(pointers);
            turn.take();
        }
        for _ in 0..turn.share(turn.count(), &mut random) {
            turn.take().expect("the share is no more than what is there");
        }
        turn.end();
    }
}
