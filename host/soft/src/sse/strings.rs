//! Comparisons of strings, and checksums (SSE4.2; Intel SDM volume 1, 12.10.2, and volume 2B, 4.1).

use guestlab_cpu::state::reg;
use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, Operand, SoftCpu},
    fault::Step,
    flags,
    operand::sign_extended,
    sse::lanes::{all_ones, build, lane},
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Pcmpestri => |c, op| c.find_index(op, Some(4)),
        M::Pcmpestri64 => |c, op| c.find_index(op, Some(8)),
        M::Pcmpistri => |c, op| c.find_index(op, None),
        M::Pcmpestrm => |c, op| c.find_mask(op, Some(4)),
        M::Pcmpestrm64 => |c, op| c.find_mask(op, Some(8)),
        M::Pcmpistrm => |c, op| c.find_mask(op, None),
        M::Crc32 => SoftCpu::crc32,
        _ => return None,
    })
}

/// One of the two strings: up to 16 bytes or 8 words.
struct Text {
    vector: u128,
    format: Format,
    /// The number of elements that belong to the string.
    len: u32,
}

/// The elements of the strings, by the low two bits of the immediate value.
#[derive(Clone, Copy)]
struct Format {
    has_words: bool,
    is_signed: bool,
}

impl Format {
    fn of(imm: u64) -> Self {
        Self { has_words: imm & 1 != 0, is_signed: imm & 2 != 0 }
    }

    fn count(self) -> u32 {
        if self.has_words { 8 } else { 16 }
    }
}

impl Text {
    fn new(vector: u128, format: Format, len: Option<u32>) -> Self {
        let mut text = Self { vector, format, len: format.count() };
        // A string ends at its first zero, unless its length is given.
        let end = || (0..format.count()).find(|&index| text.get(index) == 0);
        if let Some(len) = len.or_else(end) {
            text.len = len;
        }
        text
    }

    fn get(&self, index: u32) -> i32 {
        match (self.format.has_words, self.format.is_signed) {
            (false, false) => lane::<u8>(self.vector, index).into(),
            (false, true) => lane::<i8>(self.vector, index).into(),
            (true, false) => lane::<u16>(self.vector, index).into(),
            (true, true) => lane::<i16>(self.vector, index).into(),
        }
    }

    fn has(&self, index: u32) -> bool {
        index < self.len
    }

    fn is_full(&self) -> bool {
        self.len == self.format.count()
    }
}

/// Returns a bit for each element of the second string (Intel SDM volume 2B, 4.1.3 and 4.1.6).
fn aggregate(a: &Text, b: &Text, imm: u64) -> u32 {
    let count = a.format.count();
    let equal = |i: u32, j: u32| a.get(i) == b.get(j);
    let is_met = |j: u32| match imm >> 2 & 3 {
        // One of the first string's elements.
        0 => b.has(j) && (0..a.len).any(|i| equal(i, j)),
        // In one of the ranges that pairs of the first string's elements are.
        1 => {
            let is_in = |i: u32| a.has(i + 1) && (a.get(i)..=a.get(i + 1)).contains(&b.get(j));
            b.has(j) && (0..count).step_by(2).any(is_in)
        }
        // The same element in both strings, or in neither.
        2 => {
            if a.has(j) && b.has(j) {
                equal(j, j)
            } else {
                a.has(j) == b.has(j)
            }
        }
        // The first string begins here.
        _ => (0..count - j).all(|i| !a.has(i) || b.has(j + i) && equal(i, j + i)),
    };
    (0..count).fold(0, |all, j| all | u32::from(is_met(j)) << j)
}

/// Inverts the bits, or those of the second string's elements only (Intel SDM volume 2B, 4.1.4).
fn with_polarity(bits: u32, b: &Text, imm: u64) -> u32 {
    let ones = |count: u32| (1 << count) - 1;
    match imm >> 4 & 3 {
        1 => bits ^ ones(b.format.count()),
        3 => bits ^ ones(b.len),
        _ => bits,
    }
}

impl SoftCpu {
    /// Compares the strings, sets the flags and returns a bit for each element. `lengths` is the size of the registers that
    /// have the lengths, if these are given.
    fn find(&mut self, op: &Op, lengths: Option<u8>) -> Step<u32> {
        self.begin_sse()?;
        let second = match op.from {
            Operand::Memory => self.read_16(op.mem.segment, self.offset(&op.mem))?,
            _ => self.xmm(op.insn.op1_register().number()),
        };
        let first = self.xmm(op.insn.op0_register().number());
        let format = Format::of(op.imm);
        let len = |register: usize| {
            let size = lengths?;
            let value = sign_extended(self.register(register as u8, size), size).cast_signed();
            Some(value.unsigned_abs().min(format.count().into()) as u32)
        };
        let (a, b) = (Text::new(first, format, len(reg::RAX)), Text::new(second, format, len(reg::RDX)));
        let bits = with_polarity(aggregate(&a, &b, op.imm), &b, op.imm);
        let flag = |condition: bool, flag: u64| if condition { flag } else { 0 };
        self.set_status(
            flag(bits != 0, flags::CF)
                | flag(!b.is_full(), flags::ZF)
                | flag(!a.is_full(), flags::SF)
                | flag(bits & 1 != 0, flags::OF),
        );
        Ok(bits)
    }

    /// PCMPESTRI and PCMPISTRI: ECX is the index of the lowest or highest bit.
    fn find_index(&mut self, op: &Op, lengths: Option<u8>) -> Step {
        let bits = self.find(op, lengths)?;
        let index = match (bits, op.imm >> 6 & 1) {
            (0, _) => Format::of(op.imm).count(),
            (_, 0) => bits.trailing_zeros(),
            _ => 31 - bits.leading_zeros(),
        };
        self.set_register(reg::RCX as u8, 4, index.into());
        Ok(())
    }

    /// PCMPESTRM and PCMPISTRM: XMM0 gets the bits, or an element of ones for each.
    fn find_mask(&mut self, op: &Op, lengths: Option<u8>) -> Step {
        let bits = self.find(op, lengths)?;
        let has = |index: u32| bits >> index & 1 != 0;
        let mask = match (op.imm >> 6 & 1, Format::of(op.imm).has_words) {
            (0, _) => bits.into(),
            (_, false) => build(16, |index| all_ones::<u8>(has(index))),
            (_, true) => build(8, |index| all_ones::<u16>(has(index))),
        };
        self.set_xmm(0, mask);
        Ok(())
    }

    /// CRC32: a checksum with the polynomial 0x11EDC6F41, bit by bit.
    fn crc32(&mut self, op: &Op) -> Step {
        const REFLECTED: u32 = 0x82F6_3B78;
        let value = self.get(op, op.from, op.from_size)?;
        let mut sum = self.get(op, op.to, 4)? as u32;
        for byte in &value.to_le_bytes()[..usize::from(op.from_size)] {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = sum >> 1 ^ if sum & 1 != 0 { REFLECTED } else { 0 };
            }
        }
        self.put(op, op.to, op.size.max(4), sum.into())
    }
}
