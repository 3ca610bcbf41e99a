//! Hits a counter back: prints what the VM before left in the mailbox, and leaves one more. Its first
//! argument is what it calls itself.

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
