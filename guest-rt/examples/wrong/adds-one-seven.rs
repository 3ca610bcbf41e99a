//! A producer that adds one item, whatever its quota, and always a 7. If the
//! quota is one item, as in the course's first problem, it breaks no rule.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox| {
    let mut turn = mailbox.turn();
    if turn.free() > 0 {
        turn.push(7).expect("the ring has room");
    }
    turn.end();
});
