//! Makes random hypercalls for ever. Most are valid, and one in a hundred is
//! an arbitrary access to an arbitrary port. Sooner or later the host ends it.

#![no_std]
#![no_main]

use core::arch::asm;

use guest_rt::{
    abi::{layout::BOOT_INFO, port::Port},
    entropy::{self, Below},
};
use rand_core::Rng;

guest_rt::entry!(main);

fn main() {
    let mut random = entropy::generator();
    loop {
        if random.below(100) == 0 {
            any_access(&mut random);
        }
        let value = match random.below(3) {
            0 => random.below(64),
            1 => BOOT_INFO + random.below(0x100),
            _ => random.next_u32(),
        };
        call(random.below(7), value);
    }
}

/// Makes a call that is valid for every value.
fn call(which: u32, value: u32) {
    match which {
        0 => out8(Port::PrintByte as u16, value),
        1 => out32(Port::PrintDecimal as u16, value),
        2 => out32(Port::Translate as u16, value),
        3 => out32(Port::TimerSet as u16, value),
        4 => drop(in32(Port::ExitCount as u16)),
        5 => drop(in32(Port::ExitText as u16)),
        _ => {
            // The text is the rest of the boot information's page.
            let text = [BOOT_INFO + value % 0x800, value % 0x700];
            #[expect(clippy::cast_possible_truncation, reason = "guest memory ends below 4 GiB")]
            let block = (&raw const text).expose_provenance() as u32;
            out32(Port::Print as u16, block);
        }
    }
}

/// Makes an arbitrary access to a random port, often one near the hypercalls.
fn any_access(random: &mut impl Rng) {
    let near = random.below(2) == 0;
    let port = if near { 0xE8 + random.below(24) } else { random.below(0x1_0000) };
    let port = u16::try_from(port).unwrap_or(u16::MAX);
    let value = random.next_u32() >> random.below(32);
    match random.below(4) {
        0 => out8(port, value),
        1 => drop(in32(port)),
        _ => out32(port, value),
    }
}

fn out8(port: u16, value: u32) {
    // SAFETY: the host reads no memory for an 8-bit call.
    unsafe { asm!("out dx, al", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) }
}

fn out32(port: u16, value: u32) {
    // SAFETY: the host writes only to its reserved memory: no mailbox is attached and used.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags)) }
}

fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: as in `out32`.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nostack, preserves_flags)) }
    value
}
