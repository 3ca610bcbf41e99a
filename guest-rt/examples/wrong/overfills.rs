//! A producer that counts one item more than the ring holds when the ring is full.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::ring::RingMailbox;

guest_rt::entry!(main);

fn main() {
    let mut mailbox = RingMailbox::attach();
    loop {
        let mut turn = mailbox.turn();
        while turn.push(1).is_ok() {}
        turn.end();
        let mut pointers = mailbox.pointers();
        if pointers.free() == 0 {
            pointers.count += 1;
        }
        mailbox.set_pointers(pointers);
        mailbox.end_turn();
    }
}
