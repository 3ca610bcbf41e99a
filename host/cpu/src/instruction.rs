//! Instructions: decoded, as text, and what they do to memory. Reports, the debugger and the tracer share it.

use iced_x86::{
    ConditionCode, Decoder, DecoderOptions, Formatter, Instruction, InstructionInfoFactory, IntelFormatter,
    Mnemonic, OpAccess, OpKind, Register,
};

use crate::kvm::Registers;

/// The longest instruction in bytes (Intel SDM volume 2A, 2.3.11).
pub const MAX_INSTRUCTION: usize = 15;

/// Decodes the instruction that some bytes begin with; `bits` is the width of code, 16, 32 or 64. Where
/// there is none the instruction is [invalid](Instruction::is_invalid).
pub fn decode(bits: u32, bytes: &[u8], address: u64) -> Instruction {
    Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE).decode()
}

/// An instruction as people read it.
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

/// The instruction with a near branch's target as a linear address: it is an offset in the code segment, which
/// begins at `base`.
pub fn in_segment(instruction: &Instruction, base: u64) -> Instruction {
    let mut linear = *instruction;
    let is_near = matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32);
    if is_near && base != 0 {
        let target = base.wrapping_add(instruction.near_branch_target()) & u64::from(u32::MAX);
        linear.set_op0_kind(OpKind::NearBranch32);
        linear.set_near_branch32(crate::vmm::random::split(target).0);
    }
    linear
}

/// An access to memory by an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The linear address.
    pub address: u64,
    /// The number of bytes.
    pub len: u64,
    /// Whether it reads.
    pub reads: bool,
    /// Whether it writes.
    pub writes: bool,
}

/// The accesses of an instruction that is about to be executed with these registers.
pub fn accesses(instruction: &Instruction, registers: &Registers) -> Vec<Access> {
    use OpAccess::{CondRead, CondWrite, Read, ReadCondWrite, ReadWrite, Write};
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(instruction).used_memory();
    used.iter()
        .filter_map(|memory| {
            let access = memory.access();
            let reads = matches!(access, Read | CondRead | ReadWrite | ReadCondWrite);
            let writes = matches!(access, Write | CondWrite | ReadWrite | ReadCondWrite);
            let address = memory.virtual_address(0, |register, _, _| registers.value(register))?;
            let address = registers.wrapped(address);
            let len = u64::try_from(memory.memory_size().size()).ok()?.max(1);
            (reads || writes).then_some(Access { address, len, reads, writes })
        })
        .collect()
}

/// Whether an instruction that is about to be executed with these registers is one that raises no
/// exception: one of the common ones, on general registers, whose accesses the segments allow. Of any other
/// it is not known.
pub fn raises_nothing(instruction: &Instruction, registers: &Registers) -> bool {
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
    fn accesses_say_where_how_much_and_which_way() {
        let mut registers = Registers::default();
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
        let mut registers = Registers::default().in_segments(CpuMode::Protected, 32, 0, 0x4000_0000);
        registers.general[4] = 0xC000_0010;
        // push eax, through a stack segment that begins at 1 GiB
        let accesses = accesses(&decode(32, &[0x50], 0), &registers);
        assert_eq!(accesses.first().map(|access| access.address), Some(0xC));
    }

    #[test]
    fn common_instructions_on_registers_raise_nothing() {
        let registers = Registers::default();
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
