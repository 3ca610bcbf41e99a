//! Arithmetic, comparisons and logic of integers, lane by lane (Intel SDM volume 1, 9.4.2 to 9.4.6, 12.6 and 12.10).

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, Operand, SoftCpu},
    fault::Step,
    flags,
    sse::lanes::{Lane, all_ones, build, lane, map, neighbours, zip},
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    sums(mnemonic).or_else(|| products(mnemonic)).or_else(|| comparisons(mnemonic)).or_else(|| bits(mnemonic))
}

fn sums(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Paddb => |c, op| c.combine(op, |a, b| zip(a, b, u8::wrapping_add)),
        M::Paddw => |c, op| c.combine(op, |a, b| zip(a, b, u16::wrapping_add)),
        M::Paddd => |c, op| c.combine(op, |a, b| zip(a, b, u32::wrapping_add)),
        M::Paddq => |c, op| c.combine(op, |a, b| zip(a, b, u64::wrapping_add)),
        M::Psubb => |c, op| c.combine(op, |a, b| zip(a, b, u8::wrapping_sub)),
        M::Psubw => |c, op| c.combine(op, |a, b| zip(a, b, u16::wrapping_sub)),
        M::Psubd => |c, op| c.combine(op, |a, b| zip(a, b, u32::wrapping_sub)),
        M::Psubq => |c, op| c.combine(op, |a, b| zip(a, b, u64::wrapping_sub)),
        M::Paddsb => |c, op| c.combine(op, |a, b| zip(a, b, i8::saturating_add)),
        M::Paddsw => |c, op| c.combine(op, |a, b| zip(a, b, i16::saturating_add)),
        M::Paddusb => |c, op| c.combine(op, |a, b| zip(a, b, u8::saturating_add)),
        M::Paddusw => |c, op| c.combine(op, |a, b| zip(a, b, u16::saturating_add)),
        M::Psubsb => |c, op| c.combine(op, |a, b| zip(a, b, i8::saturating_sub)),
        M::Psubsw => |c, op| c.combine(op, |a, b| zip(a, b, i16::saturating_sub)),
        M::Psubusb => |c, op| c.combine(op, |a, b| zip(a, b, u8::saturating_sub)),
        M::Psubusw => |c, op| c.combine(op, |a, b| zip(a, b, u16::saturating_sub)),
        M::Phaddw => |c, op| c.combine(op, |a, b| neighbours(a, b, op.size, u16::wrapping_add)),
        M::Phaddd => |c, op| c.combine(op, |a, b| neighbours(a, b, op.size, u32::wrapping_add)),
        M::Phaddsw => |c, op| c.combine(op, |a, b| neighbours(a, b, op.size, i16::saturating_add)),
        M::Phsubw => |c, op| c.combine(op, |a, b| neighbours(a, b, op.size, u16::wrapping_sub)),
        M::Phsubd => |c, op| c.combine(op, |a, b| neighbours(a, b, op.size, u32::wrapping_sub)),
        M::Phsubsw => |c, op| c.combine(op, |a, b| neighbours(a, b, op.size, i16::saturating_sub)),
        M::Pabsb => |c, op| c.combine(op, |_, b| map(b, i8::wrapping_abs)),
        M::Pabsw => |c, op| c.combine(op, |_, b| map(b, i16::wrapping_abs)),
        M::Pabsd => |c, op| c.combine(op, |_, b| map(b, i32::wrapping_abs)),
        M::Psignb => |c, op| c.combine(op, |a, b| zip(a, b, |a: i8, b| a.wrapping_mul(b.signum()))),
        M::Psignw => |c, op| c.combine(op, |a, b| zip(a, b, |a: i16, b| a.wrapping_mul(b.signum()))),
        M::Psignd => |c, op| c.combine(op, |a, b| zip(a, b, |a: i32, b| a.wrapping_mul(b.signum()))),
        M::Pavgb => |c, op| c.combine(op, |a, b| zip(a, b, |a: u8, b| a.midpoint(b) + ((a ^ b) & 1))),
        M::Pavgw => |c, op| c.combine(op, |a, b| zip(a, b, |a: u16, b| a.midpoint(b) + ((a ^ b) & 1))),
        M::Psadbw => |c, op| c.combine(op, |a, b| zip(a, b, |a: u64, b| distance(a.into(), b.into()))),
        M::Mpsadbw => |c, op| c.combine(op, |a, b| block_distances(a, b, op.imm as u32)),
        _ => return None,
    })
}

/// Returns the sum of the absolute differences of 8 bytes.
fn distance(a: u128, b: u128) -> u64 {
    (0..8).map(|index| u64::from(lane::<u8>(a, index).abs_diff(lane(b, index)))).sum()
}

/// MPSADBW: the distances of 4 bytes of `b` to 8 places in `a`.
fn block_distances(a: u128, b: u128, imm: u32) -> u128 {
    let block = lane::<u32>(b, imm & 3);
    let first = imm & 4;
    build(8, |index| distance(lane::<u32>(a >> (8 * (first + index)), 0).into(), block.into()) as u16)
}

fn products(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Pmullw => |c, op| c.combine(op, |a, b| zip(a, b, u16::wrapping_mul)),
        M::Pmulld => |c, op| c.combine(op, |a, b| zip(a, b, u32::wrapping_mul)),
        M::Pmulhw => |c, op| c.combine(op, |a, b| zip(a, b, |a, b| (product(a, b) >> 16) as i16)),
        M::Pmulhuw => {
            |c, op| c.combine(op, |a, b| zip(a, b, |a: u16, b| ((u32::from(a) * u32::from(b)) >> 16) as u16))
        }
        M::Pmulhrsw => {
            |c, op| c.combine(op, |a, b| zip(a, b, |a, b| (((product(a, b) >> 14) + 1) >> 1) as i16))
        }
        M::Pmuludq => |c, op| c.combine(op, |a, b| zip(a, b, |a: u64, b| (a & LOW) * (b & LOW))),
        M::Pmuldq => {
            |c, op| c.combine(op, |a, b| zip(a, b, |a: i64, b| i64::from(a as i32) * i64::from(b as i32)))
        }
        M::Pmaddwd => |c, op| c.combine(op, |a, b| zip(a, b, add_products)),
        M::Pmaddubsw => |c, op| c.combine(op, |a, b| zip(a, b, add_byte_products)),
        _ => return None,
    })
}

const LOW: u64 = u32::MAX as u64;

fn product(a: i16, b: i16) -> i32 {
    i32::from(a) * i32::from(b)
}

/// PMADDWD, for the two words of each.
fn add_products(a: i32, b: i32) -> i32 {
    let (low, high) = (product(a as i16, b as i16), product((a >> 16) as i16, (b >> 16) as i16));
    low.wrapping_add(high)
}

/// PMADDUBSW, for the two bytes of each: those of `a` have no sign.
fn add_byte_products(a: i16, b: i16) -> i16 {
    let [low, high] = [0, 8].map(|shift| i16::from((a >> shift) as u8) * i16::from((b >> shift) as i8));
    low.saturating_add(high)
}

fn comparisons(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Pcmpeqb => |c, op| c.combine(op, |a, b| zip(a, b, |a: u8, b| all_ones(a == b))),
        M::Pcmpeqw => |c, op| c.combine(op, |a, b| zip(a, b, |a: u16, b| all_ones(a == b))),
        M::Pcmpeqd => |c, op| c.combine(op, |a, b| zip(a, b, |a: u32, b| all_ones(a == b))),
        M::Pcmpeqq => |c, op| c.combine(op, |a, b| zip(a, b, |a: u64, b| all_ones(a == b))),
        M::Pcmpgtb => |c, op| c.combine(op, |a, b| zip(a, b, |a: i8, b| all_ones(a > b))),
        M::Pcmpgtw => |c, op| c.combine(op, |a, b| zip(a, b, |a: i16, b| all_ones(a > b))),
        M::Pcmpgtd => |c, op| c.combine(op, |a, b| zip(a, b, |a: i32, b| all_ones(a > b))),
        M::Pcmpgtq => |c, op| c.combine(op, |a, b| zip(a, b, |a: i64, b| all_ones(a > b))),
        M::Pminsb => |c, op| c.combine(op, |a, b| zip(a, b, i8::min)),
        M::Pminsw => |c, op| c.combine(op, |a, b| zip(a, b, i16::min)),
        M::Pminsd => |c, op| c.combine(op, |a, b| zip(a, b, i32::min)),
        M::Pminub => |c, op| c.combine(op, |a, b| zip(a, b, u8::min)),
        M::Pminuw => |c, op| c.combine(op, |a, b| zip(a, b, u16::min)),
        M::Pminud => |c, op| c.combine(op, |a, b| zip(a, b, u32::min)),
        M::Pmaxsb => |c, op| c.combine(op, |a, b| zip(a, b, i8::max)),
        M::Pmaxsw => |c, op| c.combine(op, |a, b| zip(a, b, i16::max)),
        M::Pmaxsd => |c, op| c.combine(op, |a, b| zip(a, b, i32::max)),
        M::Pmaxub => |c, op| c.combine(op, |a, b| zip(a, b, u8::max)),
        M::Pmaxuw => |c, op| c.combine(op, |a, b| zip(a, b, u16::max)),
        M::Pmaxud => |c, op| c.combine(op, |a, b| zip(a, b, u32::max)),
        M::Phminposuw => |c, op| c.combine(op, |_, b| smallest_word(b)),
        _ => return None,
    })
}

/// PHMINPOSUW: the smallest word, and the index of the first one of its value.
fn smallest_word(vector: u128) -> u128 {
    let words = (0..8).map(|index| (lane::<u16>(vector, index), index));
    let (value, index) = words.min().unwrap_or_default();
    u128::from(index) << 16 | u128::from(value)
}

fn bits(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Pand | M::Andps | M::Andpd => |c, op| c.combine(op, |a, b| a & b),
        M::Pandn | M::Andnps | M::Andnpd => |c, op| c.combine(op, |a, b| !a & b),
        M::Por | M::Orps | M::Orpd => |c, op| c.combine(op, |a, b| a | b),
        M::Pxor | M::Xorps | M::Xorpd => |c, op| c.combine(op, |a, b| a ^ b),
        M::Psllw => |c, op| c.shift(op, |lane: u16, count| lane << count),
        M::Pslld => |c, op| c.shift(op, |lane: u32, count| lane << count),
        M::Psllq => |c, op| c.shift(op, |lane: u64, count| lane << count),
        M::Psrlw => |c, op| c.shift(op, |lane: u16, count| lane >> count),
        M::Psrld => |c, op| c.shift(op, |lane: u32, count| lane >> count),
        M::Psrlq => |c, op| c.shift(op, |lane: u64, count| lane >> count),
        M::Psraw => |c, op| c.shift_with_sign(op, |lane: i16, count| lane >> count),
        M::Psrad => |c, op| c.shift_with_sign(op, |lane: i32, count| lane >> count),
        M::Pslldq => |c, op| c.combine(op, |a, b| a.checked_shl(bytes_to_bits(b)).unwrap_or(0)),
        M::Psrldq => |c, op| c.combine(op, |a, b| a.checked_shr(bytes_to_bits(b)).unwrap_or(0)),
        M::Ptest => SoftCpu::ptest,
        _ => return None,
    })
}

fn bytes_to_bits(count: u128) -> u32 {
    8 * (count as u32 & 0xFF)
}

impl SoftCpu {
    /// Shifts all lanes by the same count, which is 64 bits or an immediate value. Too large a count leaves 0.
    fn shift<L: Lane>(&mut self, op: &Op, f: impl Fn(L, u32) -> L) -> Step {
        self.combine(op, |a, count| match u32::try_from(count_of(op, count)) {
            Ok(count) if count < L::BITS => map(a, |lane| f(lane, count)),
            _ => 0,
        })
    }

    /// As [`shift`](Self::shift), but too large a count leaves the sign.
    fn shift_with_sign<L: Lane>(&mut self, op: &Op, f: impl Fn(L, u32) -> L) -> Step {
        self.combine(op, |a, count| {
            let count = count_of(op, count).min(u64::from(L::BITS - 1)) as u32;
            map(a, |lane| f(lane, count))
        })
    }

    /// PTEST: ZF and CF say whether two vectors have no bits in common, and whether the second one is a part of the first.
    fn ptest(&mut self, op: &Op) -> Step {
        self.begin_sse()?;
        let b = self.source(op)?;
        let a = self.xmm(op.insn.op0_register().number());
        let flag = |condition: bool, flag: u64| if condition { flag } else { 0 };
        self.set_status(flag(a & b == 0, flags::ZF) | flag(b & !a == 0, flags::CF));
        Ok(())
    }
}

fn count_of(op: &Op, count: u128) -> u64 {
    if op.from == Operand::Immediate { count as u64 & 0xFF } else { count as u64 }
}
