//! A producer that adds the right number of items, all of them 7. It breaks no rule of the ring.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let mut turn = mailbox.turn();
    let share = turn.share(turn.free(), &mut random);
    turn.push_each(share, || 7);
    turn.end();
});
