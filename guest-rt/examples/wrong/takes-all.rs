//! A consumer that takes all items, whatever its quota. If the
//! quota is at least the number of items, nothing is wrong.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox| {
    let mut turn = mailbox.turn();
    let count = turn.count();
    turn.take_each(count, drop);
    turn.end();
});
