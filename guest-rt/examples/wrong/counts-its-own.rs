//! A producer that sets the count to the items of its own turn, instead of those in the ring.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let mut turn = mailbox.turn();
    let share = turn.share(turn.free(), &mut random);
    for _ in 0..share {
        turn.push(random.below(100)).expect("the share is no more than what is free");
    }
    let mut pointers = turn.pointers();
    pointers.count = share;
    turn.set_pointers(pointers);
    turn.end();
});
