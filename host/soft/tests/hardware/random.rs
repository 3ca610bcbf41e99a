//! Random registers, with the values at which instructions change their behaviour.

use crate::native::{Frame, NO_TRAP, PAGE};

/// SplitMix64: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// Bits that begin or end with many equal ones.
    fn fraction(&mut self, bits: u32) -> u64 {
        let ones = u64::MAX >> (64 - bits);
        let power = 1 << self.below(bits.into());
        ones & match self.below(6) {
            0 => 0,
            1 => ones,
            2 => power,
            3 => power - 1,
            4 => !(power - 1),
            _ => self.next(),
        }
    }

    /// A floating-point number with an exponent of `exponent` bits and a fraction of `fraction` bits.
    fn float(&mut self, exponent: u32, fraction: u32) -> u64 {
        let ones: u64 = (1 << exponent) - 1;
        let bias = ones / 2;
        let biased = match self.below(8) {
            0 => 0,
            1 => ones,
            2 => self.pick(&[1, 2, ones - 1]),
            3..=5 => bias.wrapping_add(self.below(8)).wrapping_sub(4) & ones,
            6 => (bias + self.pick(&[7, 15, 23, 24, 31, 32, 52, 53, 62, 63, 64]) + self.below(2)) & ones,
            _ => self.next() & ones,
        };
        let sign = self.next() & 1;
        sign << (exponent + fraction) | biased << fraction | self.fraction(fraction)
    }

    fn vector(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        match self.below(6) {
            0 | 1 => bytes
                .chunks_mut(4)
                .for_each(|lane| lane.copy_from_slice(&self.float(8, 23).to_le_bytes()[..4])),
            2 | 3 => {
                bytes.chunks_mut(8).for_each(|lane| lane.copy_from_slice(&self.float(11, 52).to_le_bytes()))
            }
            4 => {
                let edges = [0, 1, 0x7F, 0x80, 0xFF, 0x7E, 0x81];
                bytes.iter_mut().for_each(|byte| *byte = self.pick(&edges));
            }
            _ => bytes.chunks_mut(8).for_each(|lane| lane.copy_from_slice(&self.next().to_le_bytes())),
        }
        bytes
    }

    /// An 80-bit number. Few are no numbers at all.
    fn extended(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let ones = 0x7FFF;
        let bias = 16383_u64;
        let biased = match self.below(13) {
            0 => 0,
            1 => ones,
            2 => self.pick(&[1, 2, ones - 1]),
            3..=6 => bias + self.below(8) - 4,
            7 => bias + self.pick(&[7, 15, 23, 24, 31, 32, 52, 53, 62, 63, 64]) + self.below(2),
            8 => bias + self.pick(&[127, 128, 1023, 1024]) - self.below(2),
            9 => bias - self.pick(&[126, 127, 149, 150, 1022, 1023, 1074, 1075]) - self.below(2),
            10 => bias + self.below(130) - 65,
            11 => bias + self.below(19),
            _ => self.next() & ones,
        };
        let integer = if biased == 0 { u64::from(self.one_in(8)) } else { u64::from(!self.one_in(24)) };
        let mut significand = self.fraction(63) | integer << 63;
        if self.one_in(3) {
            // Bits that shorter formats cut at or behind their ends.
            significand = significand & !0x7FF | self.pick(&[0, 0x400, 0x401, 0x3FF, 0x7FF]);
        }
        bytes[..8].copy_from_slice(&significand.to_le_bytes());
        let head = biased | (self.next() & 1) << 15;
        bytes[8..10].copy_from_slice(&head.to_le_bytes()[..2]);
        bytes
    }

    /// Masks, rarely with one that is off.
    fn masks(&mut self) -> u16 {
        match self.below(4) {
            0 => self.next() as u16 & 0x3F,
            1 => 0x3F & !(1 << self.below(6)),
            _ => 0x3F,
        }
    }

    /// The registers before an instruction, and the page of data. Its address is in RSI and RDI.
    pub fn frame(&mut self, data: u64, bytes: &mut [u8; PAGE]) -> Frame {
        let mut fx = [0; 512];
        let (masks, more) = (self.masks(), self.next() as u16);
        let control = masks | 0x40 | more & 0xF00;
        let mut status = (self.next() & 0x7F00) as u16;
        if self.one_in(3) {
            // The flags whose exceptions are masked, and rarely one that is pending.
            let flags = self.next() as u16 & 0x7F;
            status |= if self.one_in(16) { flags } else { flags & (masks | 0x40) };
        }
        if status & !control & 0x3F != 0 {
            status |= 0x8080;
        }
        fx[0..2].copy_from_slice(&control.to_le_bytes());
        fx[2..4].copy_from_slice(&status.to_le_bytes());
        fx[4] = if self.one_in(4) { self.next() as u8 } else { 0xFF };
        for area in [8..14, 16..22] {
            let len = area.len();
            fx[area].copy_from_slice(&(self.next() >> 17).to_le_bytes()[..len]);
        }
        fx[6..8].copy_from_slice(&(self.next() as u16 & 0x7FF).to_le_bytes());
        let mut mxcsr = self.masks() << 7 | (self.next() as u16 & 3) << 13;
        if self.one_in(3) {
            mxcsr |= self.next() as u16 & 0x8040;
        }
        mxcsr |= match self.below(3) {
            0 => 0,
            1 => 0x20,
            _ => self.next() as u16 & 0x3F,
        };
        fx[24..26].copy_from_slice(&mxcsr.to_le_bytes());
        for place in fx[32..160].chunks_mut(16) {
            place.copy_from_slice(&self.extended());
        }
        for place in fx[160..416].chunks_mut(16) {
            place.copy_from_slice(&self.vector());
        }
        let mut general = [0; 16];
        for register in &mut general {
            *register = match self.below(4) {
                0 => self.below(20),
                1 => self.next() as i32 as u64,
                2 => (1_u64 << self.below(64)).wrapping_sub(self.below(2)),
                _ => self.next(),
            };
        }
        let place = match self.below(16) {
            0 => PAGE as u64 - self.below(32),
            1 => self.below(1024),
            _ => 16 * self.below(64),
        };
        let operand = (place / 16 * 16) as usize;
        for place in bytes[operand..].chunks_mut(16).take(8) {
            let value = if self.one_in(2) { self.vector() } else { self.extended() };
            place.copy_from_slice(&value);
        }
        (general[4], general[6], general[7]) = (0, data + place, data + place);
        // Rarely with AC, so that an access that is not aligned raises an exception.
        let flags = self.next() & 0x8D5 | 0x202 | u64::from(self.one_in(8)) << 18;
        Frame { fx, general, flags, trap: NO_TRAP }
    }
}
