//! Counts primes on the heap, with a sieve of the size in its argument (default: 1000).

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{vec, vec::Vec};

use guest_rt::{arguments::arguments, heap, println};

guest_rt::entry!(main);

fn main() {
    let limit = arguments().next().map_or(1000, |text| text.parse().expect("a number"));
    let primes = primes_below(limit);
    println!("{} primes below {limit}, the last one {:?}", primes.len(), primes.last());
    println!("heap: {} bytes in use", heap::usage().used);
}

/// The sieve of Eratosthenes.
fn primes_below(limit: usize) -> Vec<usize> {
    let mut is_composite = vec![false; limit];
    let mut primes = Vec::new();
    for number in 2..limit {
        if !is_composite[number] {
            primes.push(number);
            is_composite[number..].iter_mut().step_by(number).for_each(|it| *it = true);
        }
    }
    primes
}
