//! A consumer that counts the first two items of a turn in the wrong order. Two equal items hide it.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

use core::mem::swap;

use guest_rt::abi::ring::MAX_CAPACITY;

turns!(|mailbox, random| {
    let mut pointers = mailbox.pointers();
    let share = mailbox.turn().share(pointers.count, &mut random);
    let mut items = [0; MAX_CAPACITY as usize];
    let items = &mut items[..share as usize];
    for item in &mut *items {
        let slot = pointers.take().expect("the share is no more than what is there");
        *item = mailbox.slot(slot);
    }
    if let [first, second, ..] = items {
        swap(first, second);
    }
    items.iter().for_each(|&item| mailbox.count(item));
    mailbox.set_pointers(pointers);
    mailbox.end_turn();
});
