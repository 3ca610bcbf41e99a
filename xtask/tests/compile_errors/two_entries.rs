//! A guest with two entries.
//~ error[E0428]: the name `a_guest_has_only_one_entry` is defined multiple times
//~ guest_rt::entry!(one);
//~ guest_rt::entry!(two);

#![no_std]
#![no_main]

guest_rt::entry!(one);
guest_rt::entry!(two);

fn one() {}

fn two() {}
