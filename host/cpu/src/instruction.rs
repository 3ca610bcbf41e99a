//! Instructions: their decoding, their text, and their accesses to memory. Reports, debuggers, tracers and engines share
//! this module.

use alloc::{string::String, vec::Vec};

pub use iced_x86::{Code, CpuidFeature, FlowControl, Instruction, Mnemonic, OpKind, Register};
use iced_x86::{
    ConditionCode, Decoder, DecoderOptions, Formatter, InstructionInfoFactory, IntelFormatter, OpAccess,
};

use crate::state::CpuState;

/// Decodes the first instruction of `bytes`. `bits` is the width of code: 16, 32 or 64. If the bytes are not an
/// instruction, the result is [invalid](Instruction::is_invalid).
pub fn decode(bits: u32, bytes: &[u8], address: u64) -> Instruction {
    Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE).decode()
}

/// Returns the text of an instruction, in Intel syntax.
pub fn text(instruction: &Instruction) -> String {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_space_after_operand_separator(true);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

/// Returns the instruction with the target of a near branch as a linear address. In the instruction itself it is an
/// offset in the code segment, which begins at `base`.
pub fn in_segment(instruction: &Instruction, base: u64) -> Instruction {
    let mut linear = *instruction;
    let is_near = matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32);
    if is_near && base != 0 {
        let target = base.wrapping_add(instruction.near_branch_target()) & u64::from(u32::MAX);
        linear.set_op0_kind(OpKind::NearBranch32);
        linear.set_near_branch32(u32::try_from(target).unwrap_or(u32::MAX));
    }
    linear
}

/// Returns the value of a register that an address is made of, or the base of a segment.
pub fn value(registers: &CpuState, register: Register) -> Option<u64> {
    if register.is_segment_register() {
        return registers.segments.get(register.number()).map(|_| registers.linear(register.number(), 0));
    }
    let whole = register.full_register();
    let bits = u32::try_from(8 * register.size()).unwrap_or(64);
    whole.is_gpr64().then(|| registers.general[whole.number()] & u64::MAX >> 64_u32.saturating_sub(bits))
}

/// An access to memory by an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The linear address.
    pub address: u64,
    /// The number of bytes.
    pub len: u64,
    /// True if the instruction reads.
    pub reads: bool,
    /// True if the instruction writes.
    pub writes: bool,
}

/// Returns the accesses of an instruction that is about to be executed with these registers.
pub fn accesses(instruction: &Instruction, registers: &CpuState) -> Vec<Access> {
    use OpAccess::{CondRead, CondWrite, Read, ReadCondWrite, ReadWrite, Write};
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(instruction).used_memory();
    used.iter()
        .filter_map(|memory| {
            let access = memory.access();
            let reads = matches!(access, Read | CondRead | ReadWrite | ReadCondWrite);
            let writes = matches!(access, Write | CondWrite | ReadWrite | ReadCondWrite);
            let address = memory.virtual_address(0, |register, _, _| value(registers, register))?;
            let address = registers.wrapped(address);
            let len = u64::try_from(memory.memory_size().size()).ok()?.max(1);
            (reads || writes).then_some(Access { address, len, reads, writes })
        })
        .collect()
}

/// Returns true if an instruction that is about to be executed with these registers certainly raises no exception: it
/// is a common one, on general registers, and the segments allow its accesses. False means "unknown".
pub fn raises_nothing(instruction: &Instruction, registers: &CpuState) -> bool {
    use Mnemonic::{
        Adc, Add, And, Call, Cld, Cmp, Dec, Imul, Inc, Jmp, Lea, Loop, Mov, Movsx, Movsxd, Movzx, Mul, Neg,
        Nop, Not, Or, Pause, Pop, Push, Ret, Sar, Sbb, Shl, Shr, Stosb, Stosd, Sub, Test, Xor,
    };
    let is_common = match instruction.mnemonic() {
        Adc | Add | And | Call | Cld | Cmp | Dec | Imul | Inc | Jmp | Lea | Loop | Mov | Movsx | Movsxd
        | Movzx | Mul | Neg | Nop | Not | Or | Pause | Pop | Push | Ret | Sar | Sbb | Shl | Shr | Stosb
        | Stosd | Sub | Test | Xor => true,
        _ => instruction.condition_code() != ConditionCode::None,
    };
    let is_plain = |operand| match instruction.op_kind(operand) {
        OpKind::Register => instruction.op_register(operand).is_gpr(),
        kind => !matches!(kind, OpKind::FarBranch16 | OpKind::FarBranch32),
    };
    let prefixed = instruction.has_lock_prefix() || instruction.segment_prefix() != Register::None;
    is_common
        && !prefixed
        && (0..instruction.op_count()).all(is_plain)
        && accesses(instruction, registers)
            .iter()
            .all(|access| registers.allows_data_below(access.address.saturating_add(access.len)))
}

#[cfg(test)]
mod tests {
    use guest_abi::mode::CpuMode;

    use super::*;

    #[test]
    fn an_instruction_is_decoded_and_shown() {
        let instruction = decode(32, &[0x89, 0x45, 0x08, 0x90], 0x7000);
        assert_eq!((text(&instruction).as_str(), instruction.len()), ("mov [ebp+8], eax", 3));
        assert!(decode(32, &[0x89], 0).is_invalid() && decode(64, &[], 0).is_invalid());
    }

    #[test]
    fn registers_have_the_size_of_their_name() {
        let mut state = CpuState::reset();
        state.general = core::array::from_fn(|index| 0x1111_2222_3333_4400 + index as u64);
        state.segments[3].base = 0x5000;
        for (register, expected) in [
            (Register::AL, Some(0)),
            (Register::CX, Some(0x4401)),
            (Register::ESI, Some(0x3333_4406)),
            (Register::R15, Some(0x1111_2222_3333_440F)),
            (Register::DS, Some(0x5000)),
            (Register::SS, Some(0)),
            (Register::XMM0, None),
            (Register::RIP, None),
        ] {
            assert_eq!(value(&state, register), expected, "{register:?}");
        }
    }

    #[test]
    fn accesses_have_address_size_and_direction() {
        let mut registers = CpuState::reset();
        registers.general[5] = 0x1000;
        registers.general[4] = 0x2000;
        let of = |bytes: &[u8]| accesses(&decode(32, bytes, 0), &registers);
        let access = |address, len, reads, writes| Access { address, len, reads, writes };
        // mov [ebp+8], eax; add [ebp+8], eax; push eax; lea eax, [ebp+8]; mov eax, ebp
        assert_eq!(of(&[0x89, 0x45, 8]), [access(0x1008, 4, false, true)]);
        assert_eq!(of(&[0x01, 0x45, 8]), [access(0x1008, 4, true, true)]);
        assert_eq!(of(&[0x50]), [access(0x1FFC, 4, false, true)]);
        assert!(of(&[0x8D, 0x45, 8]).is_empty() && of(&[0x89, 0xE8]).is_empty());
    }

    #[test]
    fn an_access_beyond_4_gib_is_one_at_the_beginning() {
        let mut registers = CpuState::reset().in_segments(CpuMode::Protected, 32, 0, 0x4000_0000);
        registers.general[4] = 0xC000_0010;
        // push eax, through a stack segment that begins at 1 GiB
        let accesses = accesses(&decode(32, &[0x50], 0), &registers);
        assert_eq!(accesses.first().map(|access| access.address), Some(0xC));
    }

    #[test]
    fn common_instructions_on_registers_raise_nothing() {
        let mut registers = CpuState::reset();
        registers.segments = Default::default();
        let raises_nothing = |bytes: &[u8]| raises_nothing(&decode(32, bytes, 0), &registers);
        // mov eax, ebp; cmp eax, 1; jne; pause
        for bytes in [&[0x89, 0xE8][..], &[0x83, 0xF8, 1], &[0x75, 0], &[0xF3, 0x90]] {
            assert!(raises_nothing(bytes), "{bytes:x?}");
        }
        // div ecx; ud2; mov ss, ax; mov cr0, eax; a far jump; hlt; and with segments that allow nothing:
        // push, mov
        for bytes in [
            &[0xF7, 0xF1][..],
            &[0x0F, 0x0B],
            &[0x8E, 0xD0],
            &[0x0F, 0x22, 0xC0],
            &[0xEA, 0, 0, 0, 0, 8, 0],
            &[0xF4],
            &[0x50],
            &[0x89, 0x45, 8],
        ] {
            assert!(!raises_nothing(bytes), "{bytes:x?}");
        }
    }
}
