//! It does not fit into any memory. (In assembly: the compiler would want as much memory for it.)
//~ error: the guest is too big: image and .bss do not fit into the most memory that a guest can have (guest_abi::layout::MAX_MEMORY); make its statics smaller

#![no_std]
#![no_main]

guest_rt::entry!(main);

core::arch::global_asm!(".section .bss.table, \"awR\", @nobits", ".skip 0xC0000000", ".text");

fn main() {}
