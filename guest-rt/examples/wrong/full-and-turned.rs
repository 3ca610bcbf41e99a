//! A consumer that assumes the front of a full ring to
//! be at slot 0, and otherwise sets its pointer wrongly.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let mut turn = mailbox.turn();
    if turn.free() == 0 {
        let mut pointers = turn.pointers();
        pointers.cons_p = 0;
        turn.set_pointers(pointers);
    }
    for _ in 0..turn.share(turn.count(), &mut random) {
        turn.take().expect("the share is no more than what is there");
    }
    turn.end();
});
