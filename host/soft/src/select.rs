//! The function of each instruction.

use iced_x86::{ConditionCode, EncodingKind, Instruction, Mnemonic as M, OpKind, Register};

use crate::{
    arithmetic::{Adc, Add, And, Cmp, Dec, Inc, Or, Sbb, Sub, Test, Xor},
    cpu::{Handler, Operands, SoftCpu as C},
    data::Mov,
    flow,
    forms::{binary, unary},
    sse, x87,
};

/// Returns the function that carries out an instruction.
pub(crate) fn select(insn: &Instruction, operands: &Operands) -> Handler {
    // The encodings of AVX and what came after it are undefined on a CPU that has none of it.
    if insn.is_invalid() || insn.code().encoding() != EncodingKind::Legacy || has_wrong_lock(insn) {
        return C::undefined;
    }
    match insn.mnemonic() {
        M::Mov => mov(insn, operands),
        M::Add => binary::<Add>(operands),
        M::Adc => binary::<Adc>(operands),
        M::Sub => binary::<Sub>(operands),
        M::Sbb => binary::<Sbb>(operands),
        M::Cmp => binary::<Cmp>(operands),
        M::And => binary::<And>(operands),
        M::Or => binary::<Or>(operands),
        M::Xor => binary::<Xor>(operands),
        M::Test => binary::<Test>(operands),
        M::Inc => unary::<Inc>(operands),
        M::Dec => unary::<Dec>(operands),
        M::Neg => C::neg,
        M::Not => C::not,
        M::Mul => C::mul,
        M::Imul if insn.op_count() == 1 => C::imul_wide,
        M::Imul => C::imul,
        M::Div => C::div,
        M::Idiv => C::idiv,
        M::Xadd => C::xadd,
        M::Cmpxchg => C::cmpxchg,
        M::Cmpxchg8b | M::Cmpxchg16b => C::cmpxchg_pair,
        M::Shl | M::Sal => C::shl,
        M::Shr => C::shr,
        M::Sar => C::sar,
        M::Rol => C::rol,
        M::Ror => C::ror,
        M::Rcl => C::rcl,
        M::Rcr => C::rcr,
        M::Shld => C::shld,
        M::Shrd => C::shrd,
        M::Bt => C::bt,
        M::Bts => C::bts,
        M::Btr => C::btr,
        M::Btc => C::btc,
        M::Bsf => C::bsf,
        M::Bsr => C::bsr,
        M::Popcnt => C::popcnt,
        M::Bswap => C::bswap,
        M::Movbe => C::movbe,
        M::Daa => C::daa,
        M::Das => C::das,
        M::Aaa => C::aaa,
        M::Aas => C::aas,
        M::Aam => C::aam,
        M::Aad => C::aad,
        M::Movzx => C::movzx,
        M::Movsx | M::Movsxd => C::movsx,
        M::Lea => C::lea,
        M::Xchg => C::xchg,
        M::Cbw | M::Cwde | M::Cdqe => C::extend_accumulator,
        M::Cwd | M::Cdq | M::Cqo => C::extend_into_data,
        M::Xlatb => C::xlat,
        M::Lds | M::Les | M::Lfs | M::Lgs | M::Lss => C::load_far_pointer,
        M::Lahf => C::lahf,
        M::Sahf => C::sahf,
        M::Salc => C::salc,
        M::Nop
        | M::Pause
        | M::Reservednop
        | M::Prefetchnta
        | M::Prefetcht0
        | M::Prefetcht1
        | M::Prefetcht2
        | M::Prefetchw
        | M::Endbr32
        | M::Endbr64
        | M::Lfence
        | M::Mfence
        | M::Sfence => C::nop,
        M::Bound => C::bound,
        M::Push => C::push_operand,
        M::Pop => C::pop,
        M::Pusha | M::Pushad => C::pusha,
        M::Popa | M::Popad => C::popa,
        M::Pushf | M::Pushfd | M::Pushfq => C::pushf,
        M::Popf | M::Popfd | M::Popfq => C::popf,
        M::Enter => C::enter,
        M::Leave => C::leave,
        M::Movsb | M::Movsw | M::Movsd | M::Movsq if insn.is_string_instruction() => C::movs,
        M::Stosb | M::Stosw | M::Stosd | M::Stosq => C::stos,
        M::Lodsb | M::Lodsw | M::Lodsd | M::Lodsq => C::lods,
        M::Cmpsb | M::Cmpsw | M::Cmpsd | M::Cmpsq if insn.is_string_instruction() => C::cmps,
        M::Scasb | M::Scasw | M::Scasd | M::Scasq => C::scas,
        M::Insb | M::Insw | M::Insd => C::ins,
        M::Outsb | M::Outsw | M::Outsd => C::outs,
        M::In => C::input,
        M::Out => C::output,
        M::Jmp if is_far(insn) => C::jmp_far,
        M::Call if is_far(insn) => C::call_far,
        M::Jmp => C::jmp,
        M::Call => C::call,
        M::Ret => C::ret,
        M::Retf => C::ret_far,
        M::Loop => C::loop_count,
        M::Loope => C::loope,
        M::Loopne => C::loopne,
        M::Jcxz | M::Jecxz | M::Jrcxz => C::jcxz,
        M::Int => C::int,
        M::Int3 => C::int3,
        M::Int1 => C::int1,
        M::Into => C::into,
        M::Iret | M::Iretd | M::Iretq => C::iret,
        _ if insn.is_jcc_short_or_near() => flow::jcc(condition(insn.condition_code())),
        _ if insn.is_setcc() => C::setcc,
        _ if insn.is_cmovcc() => C::cmovcc,
        _ => system(insn),
    }
}

/// The families that iced has no question for.
trait Families {
    fn is_setcc(&self) -> bool;
    fn is_cmovcc(&self) -> bool;
}

impl Families for Instruction {
    fn is_setcc(&self) -> bool {
        use iced_x86::ConditionCode;
        self.condition_code() != ConditionCode::None && self.op_count() == 1 && !self.is_jcc_short_or_near()
    }

    fn is_cmovcc(&self) -> bool {
        use iced_x86::ConditionCode;
        let is_general = self.op0_kind() == OpKind::Register && self.op0_register().is_gpr();
        self.condition_code() != ConditionCode::None && self.op_count() == 2 && is_general
    }
}

fn system(insn: &Instruction) -> Handler {
    match insn.mnemonic() {
        M::Hlt => C::hlt,
        M::Cli => C::cli,
        M::Sti => C::sti,
        M::Clac | M::Stac => C::change_access,
        M::Clc => C::clc,
        M::Stc => C::stc,
        M::Cmc => C::cmc,
        M::Cld => C::cld,
        M::Std => C::std,
        M::Lgdt => C::lgdt,
        M::Lidt => C::lidt,
        M::Sgdt => C::sgdt,
        M::Sidt => C::sidt,
        M::Lldt => C::lldt,
        M::Ltr => C::ltr,
        M::Sldt => C::sldt,
        M::Str => C::str,
        M::Smsw => C::smsw,
        M::Lmsw => C::lmsw,
        M::Clts => C::clts,
        M::Lar => C::lar,
        M::Lsl => C::lsl,
        M::Verr => C::verr,
        M::Verw => C::verw,
        M::Arpl => C::arpl,
        M::Invlpg => C::invlpg,
        M::Wbinvd | M::Invd => C::wbinvd,
        M::Rdtsc | M::Rdtscp => C::rdtsc,
        M::Rdmsr => C::rdmsr,
        M::Wrmsr => C::wrmsr,
        M::Cpuid => C::cpuid,
        M::Swapgs => C::swapgs,
        M::Syscall => C::syscall,
        M::Sysret | M::Sysretq => C::sysret,
        M::Sysenter => C::sysenter,
        M::Sysexit | M::Sysexitq => C::sysexit,
        M::Ud0 | M::Ud1 | M::Ud2 => C::undefined,
        _ => sse::select(insn).or_else(|| x87::select(insn)).unwrap_or(C::missing),
    }
}

/// Returns the number that opcodes have for a condition (Intel SDM volume 1, appendix B).
pub(crate) fn condition(condition: ConditionCode) -> u8 {
    // iced numbers them in that order, from 1.
    (condition as u8).wrapping_sub(1) & 15
}

/// MOV has forms for general, segment, and system registers.
fn mov(insn: &Instruction, operands: &Operands) -> Handler {
    let is = |test: fn(Register) -> bool| test(insn.op0_register()) || test(insn.op1_register());
    if insn.op0_kind() == OpKind::Register && insn.op0_register().is_segment_register() {
        return if insn.op0_register() == Register::CS { C::undefined } else { C::mov_to_segment };
    }
    if insn.op1_kind() == OpKind::Register && insn.op1_register().is_segment_register() {
        return C::mov_from_segment;
    }
    if is(Register::is_cr) || is(Register::is_dr) {
        return C::mov_system;
    }
    if is(Register::is_tr) {
        return C::undefined;
    }
    binary::<Mov>(operands)
}

fn is_far(insn: &Instruction) -> bool {
    insn.is_jmp_far() || insn.is_jmp_far_indirect() || insn.is_call_far() || insn.is_call_far_indirect()
}

/// LOCK is allowed for some instructions that change memory (Intel SDM volume 2A, "LOCK").
fn has_wrong_lock(insn: &Instruction) -> bool {
    if !insn.has_lock_prefix() {
        return false;
    }
    let changes = matches!(
        insn.mnemonic(),
        M::Add
            | M::Adc
            | M::And
            | M::Btc
            | M::Btr
            | M::Bts
            | M::Cmpxchg
            | M::Cmpxchg8b
            | M::Cmpxchg16b
            | M::Dec
            | M::Inc
            | M::Neg
            | M::Not
            | M::Or
            | M::Sbb
            | M::Sub
            | M::Xor
            | M::Xadd
            | M::Xchg
    );
    let in_memory = insn.op0_kind() == OpKind::Memory || insn.op1_kind() == OpKind::Memory;
    !changes || !in_memory
}
