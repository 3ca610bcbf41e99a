//! A consumer that leaves its pointer behind the last slot instead of wrapping it to the first.

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
        for _ in 0..share {
            turn.take().expect("the share is no more than what is there");
        }
        let mut pointers = turn.pointers();
        if share > 0 && pointers.cons_p == 0 {
            pointers.cons_p = pointers.capacity;
            turn.set_pointers(pointers);
        }
        turn.end();
    }
}
