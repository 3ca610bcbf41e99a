//! Random numbers for C: those of a guest in Rust that makes one generator.

use guest_rt::entropy::{self, Below, Generator, rand_core::Rng};
use spin::Mutex;

static GENERATOR: Mutex<Option<Generator>> = Mutex::new(None);

/// Draws from the generator. A handler that interrupts this does not wait for it: it gets another generator.
fn draw<T>(from: impl FnOnce(&mut Generator) -> T) -> T {
    match GENERATOR.try_lock() {
        Some(mut generator) => from(generator.get_or_insert_with(entropy::generator)),
        None => from(&mut entropy::generator()),
    }
}

#[unsafe(no_mangle)]
extern "C" fn guestlab_random() -> u32 {
    draw(Rng::next_u32)
}

#[unsafe(no_mangle)]
extern "C" fn guestlab_random_below(bound: u32) -> u32 {
    draw(|generator| generator.below(bound))
}
