//! A producer that moves the consumer's pointer to make room in a
//! full ring, like a ring buffer that overwrites its oldest item.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let mut turn = mailbox.turn();
    if turn.free() == 0 {
        let mut pointers = turn.pointers();
        pointers.take();
        turn.set_pointers(pointers);
    }
    for _ in 0..turn.share(turn.free(), &mut random) {
        turn.push(random.below(100)).expect("the share is no more than what is free");
    }
    turn.end();
});
