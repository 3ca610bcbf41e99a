//! Single steps, the same on every KVM module. One instruction may end with a debug exit, or with an exit
//! for the host to serve that is completed afterwards; kvm_pvm reports no debug exit for the latter, and
//! steps over `hlt` without an exit.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use x86_64::registers::rflags::RFlags;

use crate::kvm::{CpuRegisters, Exit, Pace, Vcpu, VcpuError};

/// The longest instruction in bytes (Intel SDM volume 2A, 2.3.11).
pub const MAX_INSTRUCTION: usize = 15;

/// An instruction, and the CPU just before it.
#[derive(Clone, Debug)]
pub struct Before {
    /// The registers, without x87 and SSE.
    pub registers: CpuRegisters,
    /// The instruction, decoded.
    pub instruction: Instruction,
    code: [u8; MAX_INSTRUCTION],
}

impl Before {
    fn look(vcpu: &Vcpu) -> Result<Self, VcpuError> {
        let registers = vcpu.core_registers()?;
        let mut code = [0; MAX_INSTRUCTION];
        let there = vcpu.read_linear(registers.bases[0].wrapping_add(registers.rip), &mut code);
        let options = DecoderOptions::NONE;
        let instruction = Decoder::with_ip(registers.bits, &code[..there], registers.rip, options).decode();
        Ok(Self { registers, instruction, code })
    }

    /// The instruction's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.code[..self.instruction.len()]
    }
}

/// Where a guest is between two instructions.
#[derive(Default)]
pub struct Stepper {
    step: Step,
}

#[derive(Default)]
enum Step {
    #[default]
    None,
    Begun(Box<Before>),
    Left(Box<Before>),
    Over(Box<Before>),
}

impl Stepper {
    /// The next entry is one step.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    pub fn begin(&mut self, vcpu: &Vcpu) -> Result<&Before, VcpuError> {
        self.step = Step::Begun(Box::new(Before::look(vcpu)?));
        vcpu.set_pace(&Pace::Step)?;
        match &self.step {
            Step::Begun(before) => Ok(before),
            _ => unreachable!("set just now"),
        }
    }

    /// The guest left.
    pub fn left(&mut self, exit: Exit, vcpu: &Vcpu) -> Exit {
        let Step::Begun(before) = std::mem::take(&mut self.step) else { return exit };
        match exit {
            // It came before the instruction.
            Exit::Interrupted | Exit::InterruptWindow => exit,
            Exit::Debug { .. } => {
                // An interrupt may have come in its place.
                let halted = before.instruction.mnemonic() == Mnemonic::Hlt
                    && vcpu.state().is_some_and(|state| state.ip == before.instruction.next_ip());
                let interrupts = before.registers.rflags & RFlags::INTERRUPT_FLAG.bits() != 0;
                self.step = Step::Over(before);
                if halted { Exit::Halt { interrupts } } else { exit }
            }
            _ => {
                self.step = Step::Left(before);
                exit
            }
        }
    }

    /// The instruction that was executed since the step began, completed; `None` if a signal came first.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    pub fn end(&mut self, vcpu: &mut Vcpu) -> Result<Option<Before>, VcpuError> {
        match std::mem::take(&mut self.step) {
            Step::None | Step::Begun(_) => Ok(None),
            Step::Over(before) => Ok(Some(*before)),
            Step::Left(before) => {
                vcpu.complete()?;
                Ok(Some(*before))
            }
        }
    }
}
