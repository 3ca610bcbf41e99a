//! A consumer that follows fixed quotas, and takes two items if
//! the quota is random. It breaks no rule of the ring.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

use guest_rt::abi::mailbox::Quota;

turns!(|mailbox| {
    let quota = mailbox.quota();
    let mut turn = mailbox.turn();
    let items = match quota {
        Quota::Random => 2,
        Quota::Items(items) => items,
    };
    let share = items.min(turn.count());
    turn.take_each(share, drop);
    turn.end();
});
