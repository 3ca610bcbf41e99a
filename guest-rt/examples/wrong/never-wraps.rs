//! A consumer that leaves its pointer behind the last slot instead of wrapping it to the first.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox, random| {
    let mut turn = mailbox.turn();
    let share = turn.share(turn.count(), &mut random);
    for _ in 0..share {
        turn.take().expect("the share is no more than what is there");
    }
    let mut pointers = turn.pointers();
    if share > 0 && pointers.cons_p == 0 {
        pointers.cons_p = pointers.capacity;
        turn.set_pointers(pointers);
    }
    turn.end();
});
