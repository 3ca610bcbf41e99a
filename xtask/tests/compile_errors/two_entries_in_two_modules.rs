//! Two entries that do not see each other.
//~ error: symbol `__guestlab_main` is already defined
//~ guest_rt::entry!(

#![no_std]
#![no_main]

guest_rt::entry!(one);

fn one() {}

mod other {
    guest_rt::entry!(two);

    fn two() {}
}
