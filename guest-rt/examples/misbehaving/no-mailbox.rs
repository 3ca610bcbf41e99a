//! Ends its turn without a mailbox.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

guest_rt::entry!(main);

fn main() {
    guest_rt::hypercall::end_turn();
}
