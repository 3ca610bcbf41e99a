//! A consumer that computes the count from the distance between the pointers. They are
//! equal in a full ring, as in an empty one, so it takes nothing from a full ring.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let pointers = mailbox.pointers();
    let count = (pointers.prod_p + pointers.capacity - pointers.cons_p) % pointers.capacity;
    let mut turn = mailbox.turn();
    let share = turn.share(count, &mut random);
    turn.take_each(share, drop);
    turn.end();
});
