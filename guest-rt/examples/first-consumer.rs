//! A consumer: in each of its turns it takes one number from the ring, if there is one.
//!
//! The ring belongs to the hypervisor. Before a turn of this VM the hypervisor copies the ring into the VM's mailbox. When
//! the turn has ended it copies the mailbox back and checks it: a consumer may only take items from the front.
//!
//! Next steps:
//!
//! 1. Run it, one item per turn:
//!    cargo xtask run prodcons --consumer first-consumer --preset basic
//! 2. Take as many numbers as `mailbox.quota()` tells, if there are as many. Then this ends with `audit: ok`, too:
//!    cargo xtask run prodcons --consumer first-consumer --preset mass
//! 3. `guest_rt::ring::Quota::Random` means a random number of items (`guest_rt::entropy`). Then this reports nothing more:
//!    cargo xtask explore prodcons --consumer first-consumer

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::ring::RingMailbox;

guest_rt::entry!(main);

fn main() {
    // The first turn begins here.
    let mut mailbox = RingMailbox::attach();
    loop {
        let mut ring = mailbox.pointers();
        if ring.count > 0 {
            // `cons_p` is the slot of the next item. After the last slot comes the first one.
            let item = mailbox.slot(ring.cons_p);
            ring.cons_p = (ring.cons_p + 1) % ring.capacity;
            ring.count -= 1;
            // The hypervisor compares this account of the items with its own.
            mailbox.count(item);
        }
        mailbox.set_pointers(ring);
        // This returns when the next turn has begun.
        mailbox.end_turn();
    }
}
