//! A producer that starts its digest anew at its fifth
//! turn. If it produced nothing before, nothing is wrong.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{
    abi::digest::Digest,
    entropy::{self, Below},
    ring::RingMailbox,
};

guest_rt::entry!(main);

fn main() {
    let mut random = entropy::generator();
    let mut mailbox = RingMailbox::attach();
    for number in 1_u32.. {
        if number >= 5 {
            mailbox.set_account(Digest::EMPTY);
        }
        let mut turn = mailbox.turn();
        for _ in 0..turn.share(turn.free(), &mut random) {
            turn.push(random.below(100)).expect("the share is no more than what is free");
        }
        turn.end();
    }
}
