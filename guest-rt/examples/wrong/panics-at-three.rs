//! A consumer that panics when it finds exactly three items.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let mut turn = mailbox.turn();
    assert!(turn.count() != 3, "three items are one too many");
    for _ in 0..turn.share(turn.count(), &mut random) {
        turn.take().expect("the share is no more than what is there");
    }
    turn.end();
});
