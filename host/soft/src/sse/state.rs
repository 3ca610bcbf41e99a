//! MXCSR, the end of MMX code, and instructions for caches (Intel SDM volume 1, 10.2.3 and 10.4.6).

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, SoftCpu},
    fault::{Step, gp0},
};

/// The bits of MXCSR that there are: exceptions, their masks, rounding, flush to zero, denormals are zeros.
pub(crate) const MXCSR_MASK: u32 = 0xFFFF;

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Ldmxcsr => SoftCpu::ldmxcsr,
        M::Stmxcsr => SoftCpu::stmxcsr,
        M::Emms => SoftCpu::emms,
        M::Clflush => SoftCpu::clflush,
        _ => return None,
    })
}

impl SoftCpu {
    fn ldmxcsr(&mut self, op: &Op) -> Step {
        self.begin_sse()?;
        let value = self.get(op, op.to, 4)? as u32;
        if value & !MXCSR_MASK != 0 {
            return Err(gp0());
        }
        self.state.fpu.mxcsr = value;
        Ok(())
    }

    fn stmxcsr(&mut self, op: &Op) -> Step {
        self.begin_sse()?;
        self.put(op, op.to, 4, self.state.fpu.mxcsr.into())
    }

    /// EMMS: all x87 registers are empty.
    fn emms(&mut self, _: &Op) -> Step {
        self.begin_mmx()?;
        self.enter_mmx();
        self.state.fpu.tags = 0;
        Ok(())
    }

    /// CLFLUSH: a load of a byte, as far as the guest can see.
    fn clflush(&mut self, op: &Op) -> Step {
        self.get(op, op.to, 1).map(|_| ())
    }
}
