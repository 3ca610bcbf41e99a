//! Random numbers for C: those of a guest in Rust that makes one generator.

use guest_rt::{
    entropy::{self, Below, Generator, rand_core::Rng},
    lock::Lock,
};

static GENERATOR: Lock<Option<Generator>> = Lock::new(None);

fn with_generator<T>(draw: impl FnOnce(&mut Generator) -> T) -> T {
    draw(GENERATOR.lock().get_or_insert_with(entropy::generator))
}

#[unsafe(no_mangle)]
extern "C" fn guestlab_random() -> u32 {
    with_generator(Rng::next_u32)
}

#[unsafe(no_mangle)]
extern "C" fn guestlab_random_below(bound: u32) -> u32 {
    with_generator(|generator| generator.below(bound))
}
