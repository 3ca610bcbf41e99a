//! Passes a token on to the next VM. Its first argument, if it has one, is the number of hops after
//! which it keeps the token and returns, which ends the run.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{
    arguments::arguments,
    boot,
    mailbox::Mailbox,
    println,
    zerocopy::{FromBytes, Immutable, IntoBytes},
};

guest_rt::entry!(main);

/// What goes around.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
#[zerocopy(crate = "guest_rt::zerocopy")]
struct Token {
    /// How often it was passed on.
    hops: u32,
    /// The number of the VM that passed it on last; 0 as long as none has.
    last: u32,
}

fn main() {
    let vm = boot::info().vm;
    let end = arguments().next().map(|hops| hops.parse().expect("the argument is a number of hops"));
    let mut mailbox = Mailbox::<Token>::attach();
    loop {
        let Token { hops, last } = mailbox.read();
        match last {
            0 => println!("VM {vm} has the token first"),
            _ => println!("VM {vm} has the token from VM {last}, hops: {hops}"),
        }
        if Some(hops) == end {
            return;
        }
        mailbox.write(Token { hops: hops + 1, last: vm });
        mailbox.end_turn();
    }
}
