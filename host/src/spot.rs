//! The instruction at which a guest's CPU was stopped, in words.

use std::fmt;

use guest_abi::mode::CpuMode;
use iced_x86::{Code, CpuidFeature, Instruction, Mnemonic, Register};

use x86_64::registers::control::Cr0Flags;

use crate::{
    instruction::{self, Access, MAX_INSTRUCTION},
    kvm::{Registers, Vcpu},
};

/// An instruction of a guest, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Its linear address.
    pub address: u64,
    /// The selector and the offset.
    pub pointer: (u16, u64),
    /// The mode.
    pub mode: CpuMode,
    /// The instruction; `None` where there is none.
    pub instruction: Option<Instruction>,
}

impl Spot {
    /// The one that comes next on a CPU with these registers.
    pub fn of(vcpu: &Vcpu, registers: &Registers) -> Self {
        let address = registers.instruction();
        let mut code = [0; MAX_INSTRUCTION];
        let there = vcpu.read_linear(address, &mut code);
        let instruction = instruction::decode(registers.bits(), &code[..there], registers.ip);
        Self {
            address,
            pointer: (registers.code_segment().1, registers.ip),
            mode: registers.mode(),
            instruction: Some(instruction).filter(|instruction| !instruction.is_invalid()),
        }
    }

    /// The extension of the instruction set that it belongs to, if it is one: x87, SSE2, RDRAND.
    pub fn extension(&self) -> Option<String> {
        use CpuidFeature as F;
        let feature = self.instruction?.cpuid_features().first().copied()?;
        match feature {
            F::FPU | F::FPU287 | F::FPU287XL_ONLY | F::FPU387 | F::FPU387SL_ONLY => Some("x87".into()),
            F::INTEL8086
            | F::INTEL8086_ONLY
            | F::INTEL186
            | F::INTEL286
            | F::INTEL286_ONLY
            | F::INTEL386
            | F::INTEL386_ONLY
            | F::INTEL386_A0_ONLY
            | F::INTEL486
            | F::INTEL486_A_ONLY
            | F::X64
            | F::CPUID
            | F::MSR
            | F::TSC => None,
            other => Some(format!("{other:?}").trim_end_matches("_ONLY").replace('_', ".")),
        }
    }

    /// The vector that it asks for, if it is one of `int`, `int3` and `int1`.
    pub fn asks_for(&self) -> Option<u8> {
        let instruction = self.instruction?;
        match instruction.mnemonic() {
            Mnemonic::Int => Some(instruction.immediate8()),
            Mnemonic::Int1 => Some(1),
            Mnemonic::Int3 => Some(3),
            _ => None,
        }
    }

    /// Whether it turns on paging with these registers, or 32-bit paging is on already.
    pub fn turns_on_paging(&self, registers: &Registers) -> bool {
        let paging = Cr0Flags::PAGING.bits();
        let loads = |instruction: &Instruction| {
            (instruction.code(), instruction.op0_register()) == (Code::Mov_cr_r32, Register::CR0)
                && registers.value(instruction.op1_register()).is_some_and(|value| value & paging != 0)
        };
        self.mode == CpuMode::Paged || self.instruction.as_ref().is_some_and(loads)
    }

    /// Its accesses to memory, with these registers.
    pub fn accesses(&self, registers: &Registers) -> Vec<Access> {
        self.instruction.map_or(Vec::new(), |instruction| instruction::accesses(&instruction, registers))
    }

    /// The exception that it most likely raised.
    pub fn likely_exception(&self) -> &'static str {
        use Mnemonic as M;
        let Some(instruction) = self.instruction else { return "invalid opcode (#UD)" };
        match instruction.mnemonic() {
            M::Div | M::Idiv | M::Aam => "divide error (#DE)",
            M::Ud0 | M::Ud1 | M::Ud2 => "invalid opcode (#UD)",
            M::Int3 => "breakpoint (#BP)",
            M::Into => "overflow (#OF)",
            M::Bound => "BOUND range exceeded (#BR)",
            _ if self.extension().is_some() => "invalid opcode (#UD) or device not available (#NM)",
            _ if matches!(self.mode, CpuMode::Paged | CpuMode::Long) => {
                "page fault (#PF) or general protection (#GP)"
            }
            _ => "general protection (#GP)",
        }
    }

    /// The instruction's text.
    pub fn text(&self) -> String {
        self.instruction.map_or("no instruction".into(), |instruction| instruction::text(&instruction))
    }
}

impl Spot {
    /// The selector and the offset, for example `0000:7c03`.
    pub fn pointer(&self) -> String {
        let (selector, offset) = self.pointer;
        let digits = match self.mode {
            CpuMode::Real => 4,
            CpuMode::Protected | CpuMode::Paged => 8,
            CpuMode::Long => 16,
        };
        format!("{selector:04x}:{offset:0digits$x}")
    }
}

/// For example ``0x7c03 (0000:7c03, `div cx`)``.
impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} ({}, ", self.address, self.pointer())?;
        match self.instruction {
            Some(_) => write!(f, "`{}`)", self.text()),
            None => f.write_str("no instruction)"),
        }
    }
}
