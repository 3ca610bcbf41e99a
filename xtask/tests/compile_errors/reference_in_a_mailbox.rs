//! The message of a mailbox has a reference in it.
//~ error[E0277]: `&str` cannot be the message of a mailbox: it is not plain data
//~ Mailbox::<&str>::attach();
//~ not plain data
//~ = note: a message is a number, an array of messages, or a `#[repr(C)]` struct of messages without padding that derives `Clone, Copy, FromBytes, Immutable, IntoBytes` (see `guest_rt::mailbox`)
//~ = note: references, `bool`, `char` and enums are not plain data: another VM may leave any bytes

#![no_std]
#![no_main]

use guest_rt::mailbox::Mailbox;

guest_rt::entry!(main);

fn main() {
    let mut mailbox = Mailbox::<&str>::attach();
    mailbox.write("means nothing in another VM");
}
