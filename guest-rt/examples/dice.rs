//! Throws dice with the `rand` crate, using two generators: the runtime's, and one from `rand`.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{entropy, print, println};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};

guest_rt::entry!(main);

fn main() {
    let mut ours = entropy::generator();
    print!("six throws:");
    (0..6).for_each(|_| print!(" {}", ours.random_range(1..=6)));

    let mut theirs = SmallRng::from_rng(&mut ours);
    let mut cards = [1, 2, 3, 4, 5, 6, 7, 8];
    cards.shuffle(&mut theirs);
    println!("\ncards: {cards:?}");
}
