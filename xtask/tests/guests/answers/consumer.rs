//! Takes as many numbers as it is told, with pointers of its own.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{
    entropy::{self, Below},
    ring::{Quota, RingMailbox},
};

guest_rt::entry!(main);

fn main() {
    let mut random = entropy::generator();
    let mut mailbox = RingMailbox::attach();
    loop {
        let mut ring = mailbox.pointers();
        let number = match mailbox.quota() {
            Quota::Random => random.below(ring.count + 1),
            Quota::Items(items) => items.min(ring.count),
        };
        for _ in 0..number {
            let item = mailbox.slot(ring.cons_p);
            ring.cons_p = (ring.cons_p + 1) % ring.capacity;
            ring.count -= 1;
            mailbox.count(item);
        }
        mailbox.set_pointers(ring);
        mailbox.end_turn();
    }
}
