//! Random numbers. They depend only on the seed that the host gave the
//! guest, so that a run can be repeated. They are not fit for secrets.
//!
//! ```ignore
//! let mut random = entropy::generator();
//! let dice = random.below(6) + 1;
//! ```
//!
//! A [`Generator`] implements `rand_core`'s traits, so crates that build
//! on them work. The crate `rand` (`default-features = false`) has ranges,
//! shuffles and other generators: see the example `dice`. No exit.

pub use rand_core;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro128PlusPlus;
use spin::Mutex;

use crate::interrupts;

/// The generator of this guest's random numbers. It is small, and fast without 64-bit arithmetic.
pub type Generator = Xoshiro128PlusPlus;

/// The generator that seeds all others, once it exists. Interrupts are off
/// while it is locked: otherwise a handler that needs it would wait for ever.
static ROOT: Mutex<Option<Generator>> = Mutex::new(None);

/// Returns a new generator, different from all earlier ones.
pub fn generator() -> Generator {
    interrupts::without(|| Generator::from_rng(ROOT.lock().get_or_insert_with(root)))
}

/// Creates the root generator from the seed that the host gave this guest.
fn root() -> Generator {
    let mut seed = [0; 16];
    for (bytes, word) in seed.chunks_exact_mut(4).zip(crate::boot::info().seed) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Generator::from_seed(seed)
}

/// Random numbers in a range.
pub trait Below: Rng {
    /// Returns a number from 0 to `bound - 1`, or 0 if `bound` is 0. The
    /// probability of each number differs from 1/`bound` by less than 2^-32.
    fn below(&mut self, bound: u32) -> u32 {
        // The high half of a product scales without a division (Lemire 2019, without rejection).
        ((u64::from(self.next_u32()) * u64::from(bound)) >> 32) as u32
    }
}

impl<R: Rng + ?Sized> Below for R {}
