//! The message of a mailbox is a struct that derives nothing.
//~ error[E0277]: `Order` cannot be the message of a mailbox: it is not plain data
//~ Mailbox::<Order>::attach();
//~ not plain data

#![no_std]
#![no_main]

use guest_rt::mailbox::Mailbox;

guest_rt::entry!(main);

#[derive(Clone, Copy)]
struct Order {
    number: u32,
    urgent: bool,
}

fn main() {
    let mut mailbox = Mailbox::<Order>::attach();
    mailbox.write(Order { number: 1, urgent: true });
}
