//! A producer that moves its pointer correctly but counts one item too few in a turn of several.

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
    if share > 1 {
        let mut pointers = turn.pointers();
        pointers.count -= 1;
        turn.set_pointers(pointers);
    }
    turn.end();
});
