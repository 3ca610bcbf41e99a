//! Packing, unpacking, shuffles, blends, insertions and extractions (Intel SDM volume 1, 9.4.4, 10.4.4, 11.4.2 and
//! 12.10).

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, Operand, SoftCpu},
    fault::Step,
    operand::mask,
    sse::lanes::{Lane, all_ones, build, lane, with_lane, zip},
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    packing(mnemonic).or_else(|| shuffles(mnemonic)).or_else(|| elements(mnemonic))
}

fn packing(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Packsswb => {
            |c, op| c.combine(op, |a, b| pack(a, b, op.size, |lane: i16| lane.clamp(-128, 127) as u8))
        }
        M::Packuswb => {
            |c, op| c.combine(op, |a, b| pack(a, b, op.size, |lane: i16| lane.clamp(0, 255) as u8))
        }
        M::Packssdw => {
            |c, op| c.combine(op, |a, b| pack(a, b, op.size, |lane: i32| lane.clamp(-0x8000, 0x7FFF) as u16))
        }
        M::Packusdw => {
            |c, op| c.combine(op, |a, b| pack(a, b, op.size, |lane: i32| lane.clamp(0, 0xFFFF) as u16))
        }
        M::Punpcklbw => |c, op| c.combine(op, |a, b| unpack::<u8>(a, b, 0)),
        M::Punpcklwd => |c, op| c.combine(op, |a, b| unpack::<u16>(a, b, 0)),
        M::Punpckldq | M::Unpcklps => |c, op| c.combine(op, |a, b| unpack::<u32>(a, b, 0)),
        M::Punpcklqdq | M::Unpcklpd => |c, op| c.combine(op, |a, b| unpack::<u64>(a, b, 0)),
        M::Punpckhbw => |c, op| c.combine(op, |a, b| unpack::<u8>(a, b, op.size)),
        M::Punpckhwd => |c, op| c.combine(op, |a, b| unpack::<u16>(a, b, op.size)),
        M::Punpckhdq | M::Unpckhps => |c, op| c.combine(op, |a, b| unpack::<u32>(a, b, op.size)),
        M::Punpckhqdq | M::Unpckhpd => |c, op| c.combine(op, |a, b| unpack::<u64>(a, b, op.size)),
        M::Pmovsxbw => |c, op| c.combine(op, |_, b| extend(b, |lane: i8| i16::from(lane))),
        M::Pmovsxbd => |c, op| c.combine(op, |_, b| extend(b, |lane: i8| i32::from(lane))),
        M::Pmovsxbq => |c, op| c.combine(op, |_, b| extend(b, |lane: i8| i64::from(lane))),
        M::Pmovsxwd => |c, op| c.combine(op, |_, b| extend(b, |lane: i16| i32::from(lane))),
        M::Pmovsxwq => |c, op| c.combine(op, |_, b| extend(b, |lane: i16| i64::from(lane))),
        M::Pmovsxdq => |c, op| c.combine(op, |_, b| extend(b, |lane: i32| i64::from(lane))),
        M::Pmovzxbw => |c, op| c.combine(op, |_, b| extend(b, |lane: u8| u16::from(lane))),
        M::Pmovzxbd => |c, op| c.combine(op, |_, b| extend(b, |lane: u8| u32::from(lane))),
        M::Pmovzxbq => |c, op| c.combine(op, |_, b| extend(b, |lane: u8| u64::from(lane))),
        M::Pmovzxwd => |c, op| c.combine(op, |_, b| extend(b, |lane: u16| u32::from(lane))),
        M::Pmovzxwq => |c, op| c.combine(op, |_, b| extend(b, |lane: u16| u64::from(lane))),
        M::Pmovzxdq => |c, op| c.combine(op, |_, b| extend(b, |lane: u32| u64::from(lane))),
        _ => return None,
    })
}

/// Narrows the lanes of two vectors of `size` bytes, and puts the second ones above the first ones.
fn pack<From: Lane, To: Lane>(a: u128, b: u128, size: u8, narrow: impl Fn(From) -> To) -> u128 {
    let count = 8 * u32::from(size) / To::BITS;
    let half = count / 2;
    build(count, |index| narrow(lane(if index < half { a } else { b }, index % half)))
}

/// Interleaves the lanes of two vectors: those of the lower half, or those of the upper half of vectors of `size` bytes.
fn unpack<L: Lane>(a: u128, b: u128, size: u8) -> u128 {
    let first = 4 * u32::from(size) / L::BITS;
    build(128 / L::BITS, |index| lane::<L>(if index % 2 == 0 { a } else { b }, first + index / 2))
}

/// Widens the lowest lanes.
fn extend<From: Lane, To: Lane>(vector: u128, widen: impl Fn(From) -> To) -> u128 {
    build(128 / To::BITS, |index| widen(lane(vector, index)))
}

fn shuffles(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Pshufd => |c, op| c.combine(op, |_, b| build(4, |index| lane::<u32>(b, chosen(op, index)))),
        M::Pshufw => |c, op| c.combine(op, |_, b| shuffled_words(op, b, 0)),
        M::Pshuflw => |c, op| c.combine(op, |_, b| shuffled_words(op, b, 0) | b >> 64 << 64),
        M::Pshufhw => |c, op| c.combine(op, |_, b| shuffled_words(op, b, 4) << 64 | low_half(b)),
        M::Pshufb => |c, op| c.combine(op, |a, b| map_bytes(a, b, op.size)),
        M::Shufps => |c, op| {
            let from = |index: u32, a, b| if index < 2 { a } else { b };
            c.combine(op, |a, b| build(4, |index| lane::<u32>(from(index, a, b), chosen(op, index))))
        },
        M::Shufpd => |c, op| {
            let bit = |index: u32| (op.imm >> index) as u32 & 1;
            c.combine(op, |a, b| build(2, |index| lane::<u64>(if index == 0 { a } else { b }, bit(index))))
        },
        M::Palignr => |c, op| c.combine(op, |a, b| aligned(a, b, op.imm as u32 & 0xFF, op.size)),
        M::Blendps => |c, op| c.combine(op, |a, b| blend::<u32>(a, b, |index| op.imm >> index & 1 != 0)),
        M::Blendpd => |c, op| c.combine(op, |a, b| blend::<u64>(a, b, |index| op.imm >> index & 1 != 0)),
        M::Pblendw => |c, op| c.combine(op, |a, b| blend::<u16>(a, b, |index| op.imm >> index & 1 != 0)),
        M::Pblendvb => SoftCpu::blend_by_signs::<i8>,
        M::Blendvps => SoftCpu::blend_by_signs::<i32>,
        M::Blendvpd => SoftCpu::blend_by_signs::<i64>,
        _ => return None,
    })
}

/// Returns the lane that two bits of the immediate value choose.
fn chosen(op: &Op, index: u32) -> u32 {
    (op.imm >> (2 * index)) as u32 & 3
}

fn shuffled_words(op: &Op, vector: u128, first: u32) -> u128 {
    build(4, |index| lane::<u16>(vector, first + chosen(op, index)))
}

fn low_half(vector: u128) -> u128 {
    vector & u128::from(u64::MAX)
}

/// PSHUFB: a byte is chosen by its index, or is 0.
fn map_bytes(a: u128, b: u128, size: u8) -> u128 {
    let last = u32::from(size) - 1;
    build(u32::from(size), |index| match lane::<u8>(b, index) {
        by if by & 0x80 != 0 => 0_u8,
        by => lane(a, u32::from(by) & last),
    })
}

/// PALIGNR: `size` bytes of `a` above `b`, from byte `count` on.
fn aligned(a: u128, b: u128, count: u32, size: u8) -> u128 {
    let size = u32::from(size);
    let byte = |index: u32| match index {
        _ if index < size => lane(b, index),
        _ if index < 2 * size => lane(a, index - size),
        _ => 0_u8,
    };
    build(size, |index| byte(index + count))
}

/// Takes some lanes of a second vector.
fn blend<L: Lane>(a: u128, b: u128, takes: impl Fn(u32) -> bool) -> u128 {
    build(128 / L::BITS, |index| lane::<L>(if takes(index) { b } else { a }, index))
}

impl SoftCpu {
    /// PBLENDVB and its like: the lanes' signs in XMM0 choose.
    fn blend_by_signs<L: Lane + Into<i64>>(&mut self, op: &Op) -> Step {
        let choice = self.xmm(0);
        let ones = zip(choice, 0, |lane: L, _| all_ones(lane.into() < 0));
        self.combine(op, |a, b| a & !ones | b & ones)
    }
}

fn elements(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Pinsrb => SoftCpu::insert::<u8>,
        M::Pinsrw => SoftCpu::insert::<u16>,
        M::Pinsrd => SoftCpu::insert::<u32>,
        M::Pinsrq => SoftCpu::insert::<u64>,
        M::Pextrb => SoftCpu::extract::<u8>,
        M::Pextrw => SoftCpu::extract::<u16>,
        M::Pextrd | M::Extractps => SoftCpu::extract::<u32>,
        M::Pextrq => SoftCpu::extract::<u64>,
        M::Insertps => SoftCpu::insertps,
        _ => return None,
    })
}

impl SoftCpu {
    /// PINSRB and its like: a lane gets the value of a general register or of memory.
    fn insert<L: Lane>(&mut self, op: &Op) -> Step {
        self.begin(op)?;
        let size = (L::BITS / 8) as u8;
        let value = L::low(self.get(op, op.from, size)?.into());
        let register = op.insn.op0_register();
        let index = op.imm as u32 % (u32::from(op.size) / u32::from(size));
        self.set_vector(register, with_lane(self.vector(register), index, value));
        Ok(())
    }

    /// PEXTRB and its like: a general register gets the lane and zeros above it.
    fn extract<L: Lane>(&mut self, op: &Op) -> Step {
        self.begin(op)?;
        let size = (L::BITS / 8) as u8;
        let register = op.insn.op1_register();
        let index = op.imm as u32 % (u32::from(op.from_size) / u32::from(size));
        let value = lane::<L>(self.vector(register), index).vector() as u64;
        self.enter_mmx_for(op);
        let size = if op.to == Operand::Memory { size } else { op.size };
        self.put(op, op.to, size, value & mask(size))
    }

    /// INSERTPS: a lane is taken from a register or memory, and some are cleared.
    fn insertps(&mut self, op: &Op) -> Step {
        let imm = op.imm as u32;
        let from = if op.from == Operand::Memory { 0 } else { imm >> 6 & 3 };
        self.combine(op, |a, b| {
            let inserted = with_lane(a, imm >> 4 & 3, lane::<u32>(b, from));
            blend::<u32>(inserted, 0, |index| imm >> index & 1 != 0)
        })
    }
}
