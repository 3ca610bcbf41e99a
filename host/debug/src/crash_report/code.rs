//! The instruction at which a guest left, and those around it.

use guestlab_cpu::{
    CpuState, Exit, MAX_INSTRUCTION,
    instruction::{self, Instruction, Mnemonic, OpKind, Register},
    state::reg,
};

/// The most instructions before and after the one that is shown with them.
const BEFORE: usize = 3;
const AFTER: usize = 2;

/// The most bytes of a function that are decoded to find the instructions before one.
const MOST_BYTES: u64 = 4096;

/// Guest code in memory.
pub(super) struct Code<'a> {
    /// 16, 32 or 64.
    pub(super) bits: u32,
    /// Copies bytes from a linear address on, as many as there are.
    pub(super) read: &'a dyn Fn(u64, usize) -> Vec<u8>,
}

/// An instruction in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) address: u64,
    pub(super) text: String,
}

impl Code<'_> {
    fn decode(&self, address: u64) -> Option<Instruction> {
        let bytes = (self.read)(address, MAX_INSTRUCTION);
        Some(instruction::decode(self.bits, &bytes, address)).filter(|instruction| !instruction.is_invalid())
    }

    /// Returns the address of the instruction that caused an exit.
    ///
    /// After some exits the instruction pointer is at it, after others behind it, and KVM modules differ. So two
    /// instructions are candidates: the one at the pointer, and the one that ends there. The latter is certain if the
    /// function's `start` is known; otherwise it must be a possible cause.
    pub(super) fn culprit(&self, pointer: u64, start: Option<u64>, exit: &Exit, registers: &CpuState) -> u64 {
        let causes = |instruction: &Instruction| can_cause(instruction, exit, registers);
        if self.decode(pointer).as_ref().is_some_and(causes) {
            return pointer;
        }
        if let Some(last) = self.leading_to(pointer, start).last().filter(|last| causes(last)) {
            return last.ip();
        }
        let before = (1..=MAX_INSTRUCTION as u64).filter_map(|len| self.decode(pointer.checked_sub(len)?));
        let mut ending = before.filter(|instruction| instruction.next_ip() == pointer && causes(instruction));
        ending.next().map_or(pointer, |instruction| instruction.ip())
    }

    /// Returns the instructions of a function from its `start` up to an address. Returns none if the start is unknown, or if
    /// decoding does not lead to the address, for example because of data between instructions.
    fn leading_to(&self, address: u64, start: Option<u64>) -> Vec<Instruction> {
        let mut instructions = Vec::new();
        let Some(mut next) = start.filter(|&start| start < address && address - start <= MOST_BYTES) else {
            return instructions;
        };
        while let Some(instruction) = self.decode(next).filter(|_| next < address) {
            next = instruction.next_ip();
            instructions.push(instruction);
        }
        if next == address { instructions } else { Vec::new() }
    }

    /// Returns the instruction at an address and a few around it. Those before it are only known if `start`, the
    /// function's address, is known.
    pub(super) fn around(&self, address: u64, start: Option<u64>) -> Vec<Line> {
        let mut before = self.leading_to(address, start);
        let mut lines: Vec<Instruction> = before.split_off(before.len().saturating_sub(BEFORE));
        let mut next = address;
        for _ in 0..=AFTER {
            let Some(instruction) = self.decode(next) else { break };
            lines.push(instruction);
            next = instruction.next_ip();
        }
        lines.iter().map(line).collect()
    }
}

fn line(instruction: &Instruction) -> Line {
    Line { address: instruction.ip(), text: instruction::text(instruction) }
}

/// Returns true if an instruction can be the cause of an exit.
fn can_cause(instruction: &Instruction, exit: &Exit, registers: &CpuState) -> bool {
    match exit {
        Exit::Out { port, width, .. } | Exit::In { port, width, .. } => {
            let out = matches!(exit, Exit::Out { .. });
            let mnemonic = match instruction.mnemonic() {
                Mnemonic::Out | Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => out,
                Mnemonic::In | Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => !out,
                _ => false,
            };
            mnemonic && port_of(instruction, registers) == *port && port_width(instruction) == width.bytes()
        }
        Exit::Mmio { address, len, .. } => touches(instruction, *address, (*len).into(), registers),
        Exit::Halt { .. } => instruction.mnemonic() == Mnemonic::Hlt,
        _ => true,
    }
}

fn port_of(instruction: &Instruction, registers: &CpuState) -> u16 {
    let [dx_low, dx_high, ..] = registers.general[reg::RDX].to_le_bytes();
    let immediate = (0..instruction.op_count()).find(|&op| instruction.op_kind(op) == OpKind::Immediate8);
    immediate.map_or(u16::from_le_bytes([dx_low, dx_high]), |_| instruction.immediate8().into())
}

fn port_width(instruction: &Instruction) -> usize {
    let operands =
        (0..instruction.op_count()).map(|op| (instruction.op_kind(op), instruction.op_register(op)));
    let register = operands.filter(|(kind, _)| *kind == OpKind::Register).map(|(_, register)| register);
    let accumulator =
        register.into_iter().find(|register| [Register::AL, Register::AX, Register::EAX].contains(register));
    accumulator.map_or_else(|| instruction.memory_size().size(), |register| register.size())
}

/// Returns true if an instruction accesses an address, with these registers or with the stack pointer before it.
fn touches(instruction: &Instruction, address: u64, len: u64, registers: &CpuState) -> bool {
    let near = |linear: u64| {
        let distance = linear.wrapping_sub(address);
        // KVM may split an access into pieces, and report one of them.
        distance < len || distance.wrapping_neg() < 16
    };
    let moved = i64::from(instruction.stack_pointer_increment()).unsigned_abs();
    let accesses = instruction::accesses(instruction, registers);
    accesses
        .iter()
        .filter(|access| access.len >= len)
        .any(|access| near(access.address) || near(access.address.wrapping_add(moved)))
}
