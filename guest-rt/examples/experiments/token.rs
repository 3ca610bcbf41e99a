//! Passes a token to the next VM. Its first argument, if present, is the number
//! of hops after which it keeps the token and returns. This ends the run.

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

/// The token.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
#[zerocopy(crate = "guest_rt::zerocopy")]
struct Token {
    /// The number of hops so far.
    hops: u32,
    /// The number of the VM that passed it last; 0 before the first hop.
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
