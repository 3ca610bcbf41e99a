//! A consumer that follows fixed quotas, and takes all items
//! if the quota is random. It breaks no rule of the ring.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

use guest_rt::abi::mailbox::Quota;

turns!(|mailbox| {
    let quota = mailbox.quota();
    let mut turn = mailbox.turn();
    let count = turn.count();
    let share = match quota {
        Quota::Random => count,
        Quota::Items(items) => items.min(count),
    };
    turn.take_each(share, drop);
    turn.end();
});
