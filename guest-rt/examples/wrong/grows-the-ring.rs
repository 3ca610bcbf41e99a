//! A producer that enlarges the ring when it is full, like a vector.

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
    if turn.free() == 0 {
        let mut pointers = turn.pointers();
        pointers.capacity += 1;
        turn.set_pointers(pointers);
    }
    turn.end();
});
