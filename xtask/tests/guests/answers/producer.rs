//! Appends as many random numbers as it is told, with pointers of its own.

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
        let free = ring.capacity - ring.count;
        let number = match mailbox.quota() {
            Quota::Random => random.below(free + 1),
            Quota::Items(items) => items.min(free),
        };
        for _ in 0..number {
            let item = random.below(100);
            mailbox.set_slot(ring.prod_p, item);
            ring.prod_p = (ring.prod_p + 1) % ring.capacity;
            ring.count += 1;
            mailbox.count(item);
        }
        mailbox.set_pointers(ring);
        mailbox.end_turn();
    }
}
