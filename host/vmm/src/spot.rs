//! The instruction at which a guest's CPU was stopped, in words.

use std::fmt;

use guest_abi::mode::CpuMode;
use iced_x86::{Code, CpuidFeature, Instruction, Mnemonic, Register};

use x86_64::registers::control::Cr0Flags;

use crate::{
    debug::instruction::{self, Access, MAX_INSTRUCTION},
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(mode: CpuMode, bits: u32, code: &[u8]) -> Spot {
        let instruction = instruction::decode(bits, code, 0x10);
        let instruction = Some(instruction).filter(|instruction| !instruction.is_invalid());
        Spot { address: 0x7C10, pointer: (0x7C0, 0x10), mode, instruction }
    }

    #[test]
    fn an_extension_has_the_name_that_people_know() {
        for (code, extension) in [
            (&[0xD9, 0xEE][..], Some("x87")),
            (&[0x0F, 0x58, 0xC1], Some("SSE")),
            (&[0x66, 0x0F, 0xEF, 0xC0], Some("SSE2")),
            (&[0xF2, 0x0F, 0x38, 0xF0, 0xC0], Some("SSE4.2")),
            (&[0x0F, 0x77], Some("MMX")),
            (&[0x0F, 0xC7, 0xF0], Some("RDRAND")),
            (&[0xF3, 0x0F, 0xB8, 0xC0], Some("POPCNT")),
            // int3, bound, iretd, mov cr0, rdmsr, cpuid
            (&[0xCC], None),
            (&[0x62, 0x00], None),
            (&[0xCF], None),
            (&[0x0F, 0x22, 0xC0], None),
            (&[0x0F, 0x32], None),
            (&[0x0F, 0xA2], None),
        ] {
            assert_eq!(spot(CpuMode::Protected, 32, code).extension().as_deref(), extension, "{code:x?}");
        }
    }

    #[test]
    fn a_place_has_the_digits_of_its_mode() {
        let shown = |mode, bits| spot(mode, bits, &[0xCD, 0x10]).to_string();
        assert_eq!(shown(CpuMode::Real, 16), "0x7c10 (07c0:0010, `int 0x10`)");
        assert_eq!(shown(CpuMode::Protected, 32), "0x7c10 (07c0:00000010, `int 0x10`)");
        assert_eq!(shown(CpuMode::Long, 64), "0x7c10 (07c0:0000000000000010, `int 0x10`)");
        assert_eq!(spot(CpuMode::Real, 16, &[]).to_string(), "0x7c10 (07c0:0010, no instruction)");
    }

    #[test]
    fn paging_is_turned_on_by_a_value_that_has_its_bit() {
        let with = |eax| {
            let mut registers = Registers::default();
            registers.general[0] = eax;
            spot(CpuMode::Protected, 32, &[0x0F, 0x22, 0xC0]).turns_on_paging(&registers)
        };
        assert!(with(0x8000_0011) && !with(0x11));
        assert!(!spot(CpuMode::Protected, 32, &[0x90]).turns_on_paging(&Registers::default()));
        assert!(spot(CpuMode::Paged, 32, &[0x90]).turns_on_paging(&Registers::default()));
    }

    #[test]
    fn instructions_that_ask_for_a_vector_are_known() {
        let asks_for = |code: &[u8]| spot(CpuMode::Protected, 32, code).asks_for();
        assert_eq!(
            [asks_for(&[0xCD, 0x80]), asks_for(&[0xCC]), asks_for(&[0xF1])],
            [Some(0x80), Some(3), Some(1)]
        );
        assert_eq!([asks_for(&[0x90]), asks_for(&[])], [None, None]);
    }
}
