//! A producer that counts one item too many in a ring of 37 slots, and only there.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let mut turn = mailbox.turn();
    for _ in 0..turn.share(turn.free(), &mut random) {
        turn.push(random.below(100)).expect("the share is no more than what is free");
    }
    let mut pointers = turn.pointers();
    if pointers.capacity == 37 {
        pointers.count += 1;
        turn.set_pointers(pointers);
    }
    turn.end();
});
