//! Moves (Intel SDM volume 1, 9.4.1, 10.4.1.1 and 11.4.1.1).

use iced_x86::Mnemonic as M;

use crate::{
    access::Access,
    cpu::{Handler, Op, Operand, SoftCpu},
    fault::Step,
    operand::mask,
    sse::lanes::{Lane, build, lane, with_lane},
};

/// The register RDI.
const DESTINATION: u8 = 7;

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Movaps | M::Movapd | M::Movdqa | M::Movntps | M::Movntpd | M::Movntdq | M::Movntdqa => {
            SoftCpu::move_aligned
        }
        M::Movups | M::Movupd | M::Movdqu | M::Lddqu => SoftCpu::move_unaligned,
        M::Movd => |c, op| c.move_low(op, 4),
        M::Movq | M::Movq2dq | M::Movdq2q | M::Movntq => |c, op| c.move_low(op, 8),
        M::Movnti => SoftCpu::movnti,
        M::Movss => SoftCpu::move_scalar::<u32>,
        M::Movsd => SoftCpu::move_scalar::<u64>,
        M::Movlps | M::Movlpd => |c, op| c.move_half(op, 0),
        M::Movhps | M::Movhpd => |c, op| c.move_half(op, 1),
        M::Movhlps => |c, op| c.combine(op, |a, b| with_lane(a, 0, lane::<u64>(b, 1))),
        M::Movlhps => |c, op| c.combine(op, |a, b| with_lane(a, 1, lane::<u64>(b, 0))),
        M::Movddup => |c, op| c.combine(op, |_, b| build(2, |_| lane::<u64>(b, 0))),
        M::Movsldup => |c, op| c.combine(op, |_, b| build(4, |index| lane::<u32>(b, index & !1))),
        M::Movshdup => |c, op| c.combine(op, |_, b| build(4, |index| lane::<u32>(b, index | 1))),
        M::Movmskps => SoftCpu::move_signs::<u32>,
        M::Movmskpd => SoftCpu::move_signs::<u64>,
        M::Pmovmskb => SoftCpu::move_signs::<u8>,
        M::Maskmovq | M::Maskmovdqu => SoftCpu::move_masked,
        _ => return None,
    })
}

impl SoftCpu {
    /// MOVNTI, which needs no SSE to be enabled.
    fn movnti(&mut self, op: &Op) -> Step {
        let value = self.get(op, op.from, op.size)?;
        self.put(op, op.to, op.size, value)
    }

    fn move_aligned(&mut self, op: &Op) -> Step {
        self.begin_sse()?;
        let value = self.source(op)?;
        self.set_destination(op, value)
    }

    fn move_unaligned(&mut self, op: &Op) -> Step {
        self.begin_sse()?;
        let value = match op.from {
            Operand::Memory => self.read_16(op.mem.segment, self.offset(&op.mem))?,
            _ => self.xmm(op.insn.op1_register().number()),
        };
        if op.to == Operand::Memory {
            return self.write_16(op.mem.segment, self.offset(&op.mem), value);
        }
        self.set_xmm(op.insn.op0_register().number(), value);
        Ok(())
    }

    /// MOVD, MOVQ and their like: registers of all kinds and memory. A vector register is cleared above the value.
    fn move_low(&mut self, op: &Op, size: u8) -> Step {
        self.begin(op)?;
        let value = match op.from {
            Operand::None => self.vector(op.insn.op1_register()) as u64,
            _ => self.get(op, op.from, size)?,
        };
        let value = value & mask(size);
        match op.to {
            Operand::None => self.set_vector(op.insn.op0_register(), value.into()),
            _ => self.put(op, op.to, size, value)?,
        }
        self.enter_mmx_for(op);
        Ok(())
    }

    /// MOVSS and MOVSD: between registers the upper lanes stay, and a load clears them.
    fn move_scalar<L: Lane>(&mut self, op: &Op) -> Step {
        self.begin_sse()?;
        let value = L::low(self.source(op)?);
        if op.to == Operand::Memory {
            return self.put(op, op.to, op.size, value.vector() as u64);
        }
        let register = op.insn.op0_register().number();
        let upper = if op.from == Operand::Memory { 0 } else { self.xmm(register) };
        self.set_xmm(register, with_lane(upper, 0, value));
        Ok(())
    }

    /// MOVLPS, MOVHPS and their like: one half of a register, and memory.
    fn move_half(&mut self, op: &Op, half: u32) -> Step {
        self.begin_sse()?;
        if op.to == Operand::Memory {
            let value = lane::<u64>(self.xmm(op.insn.op1_register().number()), half);
            return self.put(op, op.to, 8, value);
        }
        let value = self.get(op, op.from, 8)?;
        let register = op.insn.op0_register().number();
        self.set_xmm(register, with_lane(self.xmm(register), half, value));
        Ok(())
    }

    /// MOVMSKPS, MOVMSKPD and PMOVMSKB: the lanes' highest bits.
    fn move_signs<L: Lane>(&mut self, op: &Op) -> Step {
        self.begin(op)?;
        let register = op.insn.op1_register();
        let vector = self.vector(register);
        let count = 8 * u32::from(op.from_size) / L::BITS;
        let sign = |index: u32| (vector >> (index * L::BITS + L::BITS - 1)) as u64 & 1;
        let signs = (0..count).fold(0, |all, index| all | sign(index) << index);
        self.enter_mmx_for(op);
        self.put(op, op.to, op.size, signs)
    }

    /// MASKMOVQ and MASKMOVDQU: the bytes that a mask selects are written at RDI.
    fn move_masked(&mut self, op: &Op) -> Step {
        // The operand in memory is the first one.
        let (from, by) = (op.insn.op1_register(), op.insn.op2_register());
        self.begin(op)?;
        let (value, selected) = (self.vector(from), self.vector(by));
        let start = self.state.general[usize::from(DESTINATION)];
        // All bytes have to be writable, whether they are selected or not, as on Intel's CPUs.
        let size = from.size() as u8;
        let linear = self.linear(op.mem.segment, start & op.mem.mask, size, Access::WRITE)?;
        self.check_units(linear, 8, size.into(), Access::WRITE)?;
        self.translate(linear, Access::WRITE)?;
        self.translate(self.behind(linear, u64::from(size) - 1), Access::WRITE)?;
        for index in (0..u32::from(size)).filter(|&index| lane::<i8>(selected, index) < 0) {
            let at = self.behind(linear, index.into());
            self.write_linear(at, 1, lane::<u8>(value, index).into(), Access::WRITE)?;
        }
        self.enter_mmx_for(op);
        Ok(())
    }
}
