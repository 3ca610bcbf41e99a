//! Links the guest, which is in C (`main.c`), to Guestlab's runtime. There is nothing to change here.

#![no_std]
#![no_main]

use guest_c as _;
