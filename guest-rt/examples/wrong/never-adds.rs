//! A producer that only ends its turns.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[macro_use]
mod turns;

turns!(|mailbox| {
    mailbox.end_turn();
});
