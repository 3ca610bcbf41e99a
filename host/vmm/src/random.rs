//! Seeds: all chance of a run comes from one number.
//!
//! A recorded run depends on the numbers that follow from its seed. So the generator is here, and not in a crate that may
//! change it: SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).

use std::hash::{BuildHasher, RandomState};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Returns stream number `stream` of a run with this seed. The host uses stream 0; each VM uses the stream of its number.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut streams = Self(stream);
        Self(seed ^ streams.next_u64())
    }

    /// Returns the next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to `bound - 1`, each as likely as the others to within `bound`/2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        let scaled = (u128::from(self.next_u64()) * bound as u128) >> 64;
        usize::try_from(scaled).expect("less than `bound`, which is a usize")
    }
}

/// Returns the seed of a VM. It is never all zero, which would stall the generator.
pub fn guest_seed(seed: u64, vm: u32) -> [u32; 4] {
    let mut stream = SplitMix64::new(seed, vm.into());
    let (first, second) = (split(stream.next_u64()), split(stream.next_u64() | 1));
    [first.0, first.1, second.0, second.1]
}

/// Splits a 64-bit number into its low and high half.
pub fn split(word: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// Draws a seed, which differs from run to run: below 2^32, so that it is easy to type and exact in every reader of JSON.
pub fn draw() -> u64 {
    // The keys of a hash table come from the operating system.
    u64::from(split(RandomState::new().hash_one(())).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        // The first outputs for seed 0, as every implementation of SplitMix64 has them.
        let mut stream = SplitMix64(0);
        assert_eq!(stream.next_u64(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(stream.next_u64(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn streams_and_seeds_differ() {
        assert_ne!(guest_seed(7, 1), guest_seed(7, 2));
        assert_ne!(guest_seed(7, 1), guest_seed(8, 1));
        assert_eq!(guest_seed(7, 1), guest_seed(7, 1));
        assert!((0..1000).all(|seed| guest_seed(seed, 1) != [0; 4]));
    }

    #[test]
    fn numbers_below_a_bound_reach_all_of_it() {
        let mut stream = SplitMix64::new(1, 0);
        let seen: std::collections::BTreeSet<usize> = (0..1000).map(|_| stream.below(6)).collect();
        assert!(seen.into_iter().eq(0..6));
    }
}
