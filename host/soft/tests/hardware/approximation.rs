//! What the manual leaves open in results of transcendental functions: an error below one unit in the last place (Intel SDM
//! volume 1, 8.3.10) leaves two values, each with its direction of rounding.

use std::ops::Range;

use crate::native::Frame;

/// The direction of rounding, in the second byte of the status word.
const C1: u8 = 1 << 1;
/// The smallest number that is not denormal.
const SMALLEST: i128 = 1 << 63;

/// Returns true if one of the two values of, say, the sine raises underflow, and the other one does not.
pub fn can_be_denormal_or_not(before: &Frame) -> bool {
    [0, 1].iter().any(|&index| ordered(before, place(index)).abs() == SMALLEST)
}

/// Makes the machine's results those of the interpreter where they are next to them.
pub fn forgive(real: &mut Frame, soft: &Frame) {
    real.fx[3] = real.fx[3] & !C1 | soft.fx[3] & C1;
    for place in (0..8).map(place) {
        if ordered(real, place.clone()).abs_diff(ordered(soft, place.clone())) == 1 {
            real.fx[place.clone()].copy_from_slice(&soft.fx[place]);
        }
    }
}

/// The place of a register of the stack.
fn place(index: usize) -> Range<usize> {
    let start = 32 + 16 * index;
    start..start + 10
}

/// Returns an 80-bit number as an integer, so that the next number is the next integer.
fn ordered(frame: &Frame, place: Range<usize>) -> i128 {
    let mut bits = [0; 16];
    bits[..10].copy_from_slice(&frame.fx[place]);
    let bits = u128::from_le_bytes(bits);
    // The integer bit adds to the exponent, but for denormal numbers, which have the exponent of 1.
    let (head, significand) = (bits >> 64 & 0x7FFF, bits & u128::from(u64::MAX));
    let magnitude = (head.saturating_sub(1) << 63) as i128 + significand as i128;
    if bits >> 79 & 1 != 0 { -magnitude } else { magnitude }
}
