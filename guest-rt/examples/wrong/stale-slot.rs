//! A producer that writes the first item of each turn to the slot before the
//! right one. In a ring of one slot both are the same and nothing is wrong.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let mut pointers = mailbox.pointers();
    let share = mailbox.turn().share(pointers.free(), &mut random);
    for place in 0..share {
        let item = random.below(100);
        let slot = pointers.push().expect("the share is no more than what is free");
        let before = (slot + pointers.capacity - 1) % pointers.capacity;
        mailbox.set_slot(if place == 0 { before } else { slot }, item);
        mailbox.count(item);
    }
    mailbox.set_pointers(pointers);
    mailbox.end_turn();
});
