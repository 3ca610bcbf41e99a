//! The instruction of a step, before the step.

use guestlab_cpu::{
    CpuState, MAX_INSTRUCTION,
    instruction::{self, FlowControl, Instruction, Mnemonic, Register},
};
use x86_64::registers::rflags::RFlags;

use super::stack;
use crate::vcpu::Vcpu;

/// An instruction, and the CPU just before it.
#[derive(Clone, Debug)]
pub(super) struct Before {
    /// The registers, without x87 and SSE.
    pub(super) registers: CpuState,
    /// The instruction, decoded.
    pub(super) instruction: Instruction,
    pub(super) code: [u8; MAX_INSTRUCTION],
    /// The flags that it pops from the stack, if it does so.
    pub(super) popped: Option<u64>,
}

impl Before {
    pub(super) fn look(vcpu: &Vcpu, registers: CpuState) -> Self {
        let mut code = [0; MAX_INSTRUCTION];
        let there = vcpu.read_linear(&registers, registers.instruction(), &mut code);
        let instruction = instruction::decode(registers.bits(), &code[..there], registers.ip);
        let popped = stack::popped(vcpu, &registers, &instruction);
        Self { registers, instruction, code, popped }
    }

    /// Returns the instruction's linear address.
    pub(super) fn address(&self) -> u64 {
        self.registers.instruction()
    }

    /// Returns the linear address behind it.
    pub(super) fn end(&self) -> u64 {
        self.registers.at(self.instruction.next_ip()).instruction()
    }

    /// Returns true if a step may execute only a part of it: it is a repeated string instruction.
    pub(super) fn is_repeated(&self) -> bool {
        let instruction = &self.instruction;
        instruction.is_string_instruction()
            && (instruction.has_rep_prefix() || instruction.has_repne_prefix())
    }

    /// Returns a test for the linear addresses of its code and of its accesses.
    pub(super) fn touched(&self) -> impl Fn(u64) -> bool {
        let accesses = instruction::accesses(&self.instruction, &self.registers);
        let (start, len) = (self.address(), self.instruction.len() as u64);
        move |address| {
            let within = |start: u64, len: u64| address.wrapping_sub(start) < len;
            within(start, len) || accesses.iter().any(|access| within(access.address, access.len))
        }
    }

    pub(super) fn has(&self, flag: RFlags) -> bool {
        self.registers.flags & flag.bits() != 0
    }

    pub(super) fn takes_interrupts(&self) -> bool {
        self.has(RFlags::INTERRUPT_FLAG)
    }

    /// Returns true if it writes to a port, so that it exits by itself.
    pub(super) fn is_output(&self) -> bool {
        let mnemonic = self.instruction.mnemonic();
        matches!(mnemonic, Mnemonic::Out | Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd)
    }

    /// Returns true if it branches, so that any address may follow.
    pub(super) fn branches(&self) -> bool {
        !matches!(
            self.instruction.flow_control(),
            FlowControl::Next | FlowControl::Interrupt | FlowControl::Exception
        )
    }

    /// Returns true if it loads SS, so that not even a step ends behind it (SDM volume 3A, 6.8.3 "Masking Exceptions and
    /// Interrupts When Switching Stacks").
    pub(super) fn loads_stack(&self) -> bool {
        let loads = matches!(self.instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Pop);
        loads && self.instruction.op0_register() == Register::SS
    }

    /// Returns true if no interrupt can come between it and the next instruction (SDM volume 2B, "STI").
    pub(super) fn shadows_next(&self) -> bool {
        let sti = self.instruction.mnemonic() == Mnemonic::Sti && !self.takes_interrupts();
        sti || self.loads_stack()
    }

    /// Returns true if it returns from an interrupt or exception.
    pub(super) fn returns_from_handler(&self) -> bool {
        matches!(self.instruction.mnemonic(), Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq)
    }

    /// Returns true if a step over it may end one instruction later: over `sti` under QEMU's emulation, and over `iretq` on
    /// kvm_pvm.
    pub(super) fn may_end_late(&self) -> bool {
        self.shadows_next() || self.returns_from_handler()
    }

    /// Returns the next instruction, if the step may end late. Registers other than the instruction pointer are those
    /// before.
    pub(super) fn follower(&self, vcpu: &Vcpu) -> Option<Self> {
        let next = self.goes_on_with(vcpu).filter(|_| self.may_end_late())?;
        Some(Self::look(vcpu, next))
    }

    /// Returns the registers behind it, if it does not branch: only instruction pointer and code segment change. A return
    /// from an interrupt takes them from the stack.
    pub(super) fn goes_on_with(&self, vcpu: &Vcpu) -> Option<CpuState> {
        match stack::size_of_return(&self.instruction) {
            Some(size) => {
                let [ip, selector] = stack::pop(vcpu, &self.registers, size)?;
                self.registers.in_code(u16::try_from(selector & 0xFFFF).ok()?, ip)
            }
            None if self.branches() => None,
            None => Some(self.registers.at(self.instruction.next_ip())),
        }
    }
}
