//! Hits a counter back: prints the previous VM's value in the
//! mailbox, and adds one to it. Its first argument is its name.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{arguments::arguments, mailbox::Mailbox, println};

guest_rt::entry!(main);

fn main() {
    let name = arguments().next().unwrap_or("nobody");
    let mut mailbox = Mailbox::<u32>::attach();
    loop {
        let counter = mailbox.read();
        println!("{name} {counter}");
        mailbox.write(counter + 1);
        mailbox.end_turn();
    }
}
