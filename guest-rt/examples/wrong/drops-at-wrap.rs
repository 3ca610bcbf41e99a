//! A producer that counts the item for the ring's last slot but does
//! not write it. The mistake is hidden if the slot's old item is equal.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let mut pointers = mailbox.pointers();
    let share = mailbox.turn().share(pointers.free(), &mut random);
    for _ in 0..share {
        let item = random.below(100);
        let slot = pointers.push().expect("the share is no more than what is free");
        if slot + 1 < pointers.capacity {
            mailbox.set_slot(slot, item);
        }
        mailbox.count(item);
    }
    mailbox.set_pointers(pointers);
    mailbox.end_turn();
});
