//! Vectors as 128-bit integers, and their lanes. An MMX register is the lower half of one.

/// An element of a vector.
pub(super) trait Lane: Copy {
    const BITS: u32;

    /// Returns the low bits of a vector.
    fn low(vector: u128) -> Self;

    /// Returns a vector with these low bits.
    fn vector(self) -> u128;
}

macro_rules! lane {
    ($($lane:ty as $bits:ty),*) => {$(
        impl Lane for $lane {
            const BITS: u32 = Self::BITS;

            fn low(vector: u128) -> Self {
                vector as Self
            }

            fn vector(self) -> u128 {
                (self as $bits).into()
            }
        }
    )*};
}

lane!(u8 as u8, i8 as u8, u16 as u16, i16 as u16, u32 as u32, i32 as u32, u64 as u64, i64 as u64);

/// Returns a lane of a vector.
pub(super) fn lane<L: Lane>(vector: u128, index: u32) -> L {
    L::low(vector >> ((index * L::BITS) & 127))
}

/// Replaces a lane of a vector.
pub(super) fn with_lane<L: Lane>(vector: u128, index: u32, value: L) -> u128 {
    let shift = (index * L::BITS) & 127;
    let mask = (u128::MAX >> (128 - L::BITS)) << shift;
    vector & !mask | value.vector() << shift
}

/// Makes a vector of `count` lanes.
#[inline]
pub(super) fn build<L: Lane>(count: u32, value: impl Fn(u32) -> L) -> u128 {
    (0..count).fold(0, |all, index| all | value(index).vector() << (index * L::BITS))
}

/// Combines the lanes of two vectors.
#[inline]
pub(super) fn zip<L: Lane>(a: u128, b: u128, f: impl Fn(L, L) -> L) -> u128 {
    build(128 / L::BITS, |index| f(lane(a, index), lane(b, index)))
}

/// Changes each lane of a vector.
#[inline]
pub(super) fn map<L: Lane>(vector: u128, f: impl Fn(L) -> L) -> u128 {
    build(128 / L::BITS, |index| f(lane(vector, index)))
}

/// Combines neighbours in a vector of `size` bytes, and then those of a second one.
pub(super) fn neighbours<L: Lane>(a: u128, b: u128, size: u8, f: impl Fn(L, L) -> L) -> u128 {
    let count = 8 * u32::from(size) / L::BITS;
    build(count, |index| {
        let pair = 2 * index % count;
        let vector = if index < count / 2 { a } else { b };
        f(lane(vector, pair), lane(vector, pair + 1))
    })
}

/// Returns a lane of ones or zeros.
pub(super) fn all_ones<L: Lane>(condition: bool) -> L {
    L::low(if condition { u128::MAX } else { 0 })
}
