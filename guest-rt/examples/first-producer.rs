//! A producer: in each of its turns it puts one number into the ring, if there is room.
//!
//! The ring belongs to the hypervisor. Before a turn of this VM the hypervisor copies the ring into the VM's mailbox. When
//! the turn has ended it copies the mailbox back and checks it: a producer may only append items.
//!
//! Next steps:
//!
//! 1. Run it, one item per turn:
//!    cargo xtask run prodcons --producer first-producer --preset basic
//! 2. Append as many numbers as `mailbox.quota()` tells, if there is room. Then this ends with `audit: ok`, too:
//!    cargo xtask run prodcons --producer first-producer --preset mass
//! 3. `guest_rt::ring::Quota::Random` means a random number of random items (`guest_rt::entropy`). Then this reports nothing more:
//!    cargo xtask explore prodcons --producer first-producer

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::ring::RingMailbox;

guest_rt::entry!(main);

fn main() {
    // The first turn begins here.
    let mut mailbox = RingMailbox::attach();
    let mut item = 1;
    loop {
        let mut ring = mailbox.pointers();
        if ring.count < ring.capacity {
            // `prod_p` is the slot for the next item. After the last slot comes the first one.
            mailbox.set_slot(ring.prod_p, item);
            ring.prod_p = (ring.prod_p + 1) % ring.capacity;
            ring.count += 1;
            // The hypervisor compares this account of the items with its own.
            mailbox.count(item);
            item += 1;
        }
        mailbox.set_pointers(ring);
        // This returns when the next turn has begun.
        mailbox.end_turn();
    }
}
