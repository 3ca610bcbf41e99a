//! Adds a hypercall without a change to the library: `cargo run --example own_hypercall -- [--soft] [IMAGE]`.
//!
//! The guest writes a number to port 0x30 and reads its square there. Guestlab has no hypercall at this port.

mod common;

use std::error::Error;

use guestlab_cpu::Exit;
use guestlab_vmm::{Machine, Never, Parameters, Reply, Setup};

const SQUARE: u16 = 0x30;

/// `mov eax, 12`, `out 0x30, eax`, `in eax, 0x30`, `out 0xEA, eax` (print it), `hlt`.
const CODE: &[u8] = &[0xB8, 12, 0, 0, 0, 0xE7, 0x30, 0xE5, 0x30, 0xE7, 0xEA, 0xF4];

fn main() -> Result<(), Box<dyn Error>> {
    let image = common::image_or("squares", CODE)?;
    let parameters = Parameters { vm: 1, seed: 1, memory: 2 << 20, arguments: &[] };
    let machine = Machine::new(&Setup::new(common::engine()?), &image, parameters)?;
    let mut number = 0_u32;
    // The closure keeps the state of the call. It gets each exit first; `None` leaves the exit to Guestlab's own
    // hypercalls. A call that reads guest memory would do so through the second argument, which checks each address.
    let mut machine = machine.with_hypercalls(move |exit, _cpu| match exit {
        Exit::Out { port: SQUARE, values, .. } => {
            number = *values.as_slice().last()?;
            Some(Reply::Resume)
        }
        // The guest is untrusted: its number must not overflow in the host.
        Exit::In { port: SQUARE, .. } => Some(Reply::Answer(number.wrapping_mul(number))),
        _ => None,
    });
    let halt = machine.run(&Never, &mut common::print)?;
    println!("{halt:?}");
    Ok(())
}
