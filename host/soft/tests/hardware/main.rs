//! Instructions for vectors and floating-point numbers, in lock-step with the CPU of the machine that runs the test.
//!
//! Each instruction is carried out many times on random registers, by the machine's CPU and by the interpreter, at the
//! same addresses. Registers, flags, memory and exceptions have to be equal.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    missing_docs,
    unreachable_pub,
    reason = "a test cuts random numbers to size, and documents what is not plain"
)]

mod approximation;
mod guest;
mod native;
mod program;
mod random;

use std::{
    arch::x86_64::{__cpuid, __cpuid_count},
    collections::BTreeMap,
};

use guest::Guest;
use iced_x86::{
    Code, CpuidFeature as F, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic as M, OpKind,
    Register, RflagsBits as R,
};
use native::{Frame, NO_TRAP, Native, PAGE};
use random::Random;

/// The ways to encode an instruction: prefix, REX.W, opcode, the fields of ModRM, and whether there is an operand in memory.
/// Without a field `rm`, it is a register of any number.
#[derive(Clone, Copy)]
struct Template {
    prefix: Option<u8>,
    wide: bool,
    map: &'static [u8],
    opcode: u8,
    reg: u8,
    rm: Option<u8>,
    in_memory: bool,
}

impl Template {
    /// Encodes it with random registers. The operand in memory is at RSI and a small displacement.
    fn encode(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.prefix.into_iter().collect();
        let extensions = if self.in_memory { 4 } else { 5 };
        bytes.push(0x40 | u8::from(self.wide) << 3 | random.next() as u8 & extensions);
        bytes.extend(self.map);
        bytes.push(self.opcode);
        if self.in_memory {
            bytes.extend([0x46 | self.reg << 3, 16 * random.below(4) as u8]);
        } else {
            bytes.push(0xC0 | self.reg << 3 | self.rm.unwrap_or(random.next() as u8 & 7));
        }
        bytes.extend(random.next().to_le_bytes());
        bytes
    }
}

fn decode(bytes: &[u8], ip: u64) -> Instruction {
    Decoder::with_ip(64, bytes, ip, DecoderOptions::NONE).decode()
}

/// Returns the encodings of all instructions that `is_wanted` takes, by instruction.
fn templates(is_wanted: impl Fn(&Instruction) -> bool) -> BTreeMap<(Code, bool), Vec<Template>> {
    let mut found = BTreeMap::<_, Vec<Template>>::new();
    let random = &mut Random(1);
    let maps: [&[u8]; 4] = [&[0x0F], &[0x0F, 0x38], &[0x0F, 0x3A], &[]];
    for map in maps {
        // Without prefixes and the beginnings of other maps.
        let is_opcode = |opcode: &u8| {
            !map.is_empty()
                || !matches!(opcode, 0x0F | 0x26 | 0x2E | 0x36 | 0x3E | 0x40..=0x4F | 0x64..=0x67 | 0xF0 | 0xF2 | 0xF3)
        };
        for opcode in (0..=255_u8).filter(is_opcode) {
            for (prefix, wide) in
                [None, Some(0x66), Some(0xF3), Some(0xF2)].into_iter().flat_map(|p| [(p, false), (p, true)])
            {
                for reg in 0..8 {
                    for (in_memory, rm) in forms(map, opcode) {
                        let template = Template { prefix, wide, map, opcode, reg, rm, in_memory };
                        let insn = decode(&template.encode(random), 0);
                        if !insn.is_invalid() && is_wanted(&insn) && (in_memory || spares_memory(&insn)) {
                            found.entry((insn.code(), in_memory)).or_default().push(template);
                        }
                    }
                }
            }
        }
    }
    found
}

/// Returns the fields `rm` to try, without and with an operand in memory. It is a part of the opcode of x87 instructions
/// without one.
fn forms(map: &[u8], opcode: u8) -> Vec<(bool, Option<u8>)> {
    match (map, opcode) {
        ([], 0xD8..=0xDF) => (0..8).map(|rm| (false, Some(rm))).chain([(true, None)]).collect(),
        _ => vec![(false, None), (true, None)],
    }
}

/// Returns true for the extensions that the interpreter has.
fn is_vector(insn: &Instruction) -> bool {
    let is_there = |feature: &F| {
        matches!(feature, F::MMX | F::SSE | F::SSE2 | F::SSE3 | F::SSSE3 | F::SSE4_1 | F::SSE4_2)
    };
    let approximates = matches!(insn.mnemonic(), M::Rcpps | M::Rcpss | M::Rsqrtps | M::Rsqrtss);
    insn.cpuid_features().iter().all(is_there) && !approximates
}

/// Returns true if the instruction leaves RSP alone, which both CPUs have as their own.
fn spares_stack(insn: &Instruction) -> bool {
    (0..insn.op_count()).all(|index| {
        insn.op_kind(index) != OpKind::Register || insn.op_register(index).full_register() != Register::RSP
    })
}

/// Returns true if the instruction has no operand in memory, except at RDI.
fn spares_memory(insn: &Instruction) -> bool {
    insn.op_kinds().all(|kind| kind != OpKind::Memory)
}

/// Returns true for #SS, #GP, #PF and #AC.
fn is_memory_fault(trap: i64) -> bool {
    matches!(trap, 12..=14 | 17)
}

fn uses_mmx(insn: &Instruction) -> bool {
    insn.op0_register().is_mm() || insn.op1_register().is_mm()
}

struct Pair {
    native: Native,
    keeps_addresses: bool,
    guest: Guest,
    random: Random,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let native = Native::new();
        let guest = Guest::new(native.code());
        Self { native, keeps_addresses: keeps_addresses_as_the_guest(), guest, random: Random(seed) }
    }

    /// Carries out an instruction on both, and returns the first difference.
    fn compare(&mut self, bytes: &[u8], before: &Frame, data: &[u8; PAGE]) -> Result<(), String> {
        let (mut real, mut soft) = (before.clone(), before.clone());
        self.native.set_bytes(data);
        // SAFETY: the instructions of vectors and of x87 do not jump, those that name RSP are left out, and the address of
        // their operand in memory, in RSI and RDI, is in the page of data.
        unsafe { self.native.run(bytes, &mut real) };
        let insn = decode(bytes, 0);
        if matches!(insn.mnemonic(), M::Fcomi | M::Fcomip | M::Fucomi | M::Fucomip) && real.trap == NO_TRAP {
            // The manual says that C1 is 0. Intel's CPUs leave it.
            real.fx[3] &= !2;
        }
        let mut there = *data;
        self.guest.run(bytes, &mut soft, &mut there);
        difference(&insn, &real, &soft).map_or(Ok(()), Err)?;
        if is_transcendental(&insn) {
            if approximation::can_be_denormal_or_not(before) {
                return Ok(());
            }
            approximation::forgive(&mut real, &soft);
        }
        if is_memory_fault(real.trap) && uses_mmx(&insn) {
            // Intel's CPUs have already set TOP when a store of MMX faults.
            return Ok(());
        }
        // The machine's addresses can have more bits.
        let with_addresses = self.keeps_addresses && insn.mnemonic() != M::Fxrstor64;
        difference_in_floats(before, &real, &soft, with_addresses).map_or(Ok(()), Err)?;
        if is_memory_fault(real.trap) && is_x87(&insn) {
            // A store of 10 bytes and more can have written some of them.
            return Ok(());
        }
        let real = self.native.bytes();
        match (0..PAGE).find(|&at| real[at] != there[at]) {
            None => Ok(()),
            Some(at) => {
                let at = at & !15;
                Err(format!(
                    "memory at {at:#x} is {:02x?}, not {:02x?}",
                    &there[at..at + 16],
                    &real[at..at + 16]
                ))
            }
        }
    }
}

fn difference(insn: &Instruction, real: &Frame, soft: &Frame) -> Option<String> {
    if real.trap != soft.trap {
        return Some(format!("exception {}, not {}", soft.trap, real.trap));
    }
    for index in (0..16).filter(|index| *index != 4) {
        if real.general[index] != soft.general[index] {
            return Some(format!(
                "register {index} is {:#x}, not {:#x}",
                soft.general[index], real.general[index]
            ));
        }
    }
    let flags = |frame: &Frame| frame.flags & 0xCD5 & !undefined(insn);
    if real.trap == NO_TRAP && flags(real) != flags(soft) {
        return Some(format!("flags are {:#x}, not {:#x}", flags(soft), flags(real)));
    }
    None
}

/// Returns the flags that an instruction leaves undefined.
fn undefined(insn: &Instruction) -> u64 {
    // OF is defined for a count of 1 only, also where the count is a whole turn.
    let rotates = matches!(insn.mnemonic(), M::Rcl | M::Rcr);
    let undefined = insn.rflags_undefined() | if rotates { R::OF } else { 0 };
    [(R::CF, 0), (R::PF, 2), (R::AF, 4), (R::ZF, 6), (R::SF, 7), (R::OF, 11)]
        .into_iter()
        .filter(|(flag, _)| undefined & flag != 0)
        .fold(0, |all, (_, bit)| all | 1 << bit)
}

/// Returns true if the machine's CPU notes the address of an operand only for exceptions, and no selectors.
fn keeps_addresses_as_the_guest() -> bool {
    const BOTH: u32 = 1 << 6 | 1 << 13;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ebx & BOTH == BOTH
}

fn difference_in_floats(before: &Frame, real: &Frame, soft: &Frame, with_addresses: bool) -> Option<String> {
    let areas = [(0, 2, "control"), (2, 4, "status"), (4, 5, "tags"), (24, 26, "mxcsr")].into_iter();
    // Other CPUs keep other addresses.
    let addresses = [(6, 8, "opcode"), (8, 16, "instruction"), (16, 24, "operand")];
    let addresses = addresses.into_iter().filter(|_| with_addresses);
    let st = (0..8).map(|index| (32 + 16 * index, 42 + 16 * index, "st"));
    let xmm = (0..16).map(|index| (160 + 16 * index, 176 + 16 * index, "xmm"));
    for (start, end, name) in areas.chain(addresses).chain(st).chain(xmm) {
        if real.fx[start..end] != soft.fx[start..end] {
            let hex = |frame: &Frame| {
                frame.fx[start..end].iter().rev().map(|byte| format!("{byte:02x}")).collect::<String>()
            };
            return Some(format!(
                "{name} at {start} is {}, not {}; before {}",
                hex(soft),
                hex(real),
                hex(before)
            ));
        }
    }
    None
}

/// Prints the registers that an instruction names.
fn operands(insn: &Instruction, frame: &Frame, data: &[u8; PAGE], base: u64) -> String {
    let mut text = format!(
        "mxcsr {:02x}{:02x} control {:02x}{:02x} status {:02x}{:02x} tags {:02x}",
        frame.fx[25], frame.fx[24], frame.fx[1], frame.fx[0], frame.fx[3], frame.fx[2], frame.fx[4]
    );
    let mut area = |name: String, bytes: &[u8]| {
        text += &format!(
            "\n    {name} {}",
            bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect::<String>()
        );
    };
    for index in 0..insn.op_count() {
        let register = insn.op_register(index);
        match insn.op_kind(index) {
            OpKind::Register if register.is_xmm() => {
                area(format!("{register:?}"), &frame.fx[160 + 16 * register.number()..][..16]);
            }
            OpKind::Register if register.is_gpr() => {
                area(
                    format!("{register:?}"),
                    &frame.general[register.full_register().number()].to_le_bytes(),
                );
            }
            OpKind::Memory => {
                let at = frame.general[6].wrapping_add(insn.memory_displacement64()).wrapping_sub(base);
                let at = at as usize;
                area(format!("memory at {at:#x}"), &data[at.min(PAGE)..at.saturating_add(16).min(PAGE)]);
            }
            _ => {}
        }
    }
    for index in 0..8 {
        if insn.cpuid_features().contains(&F::FPU) || uses_mmx(insn) {
            area(format!("st{index}"), &frame.fx[32 + 16 * index..][..10]);
        }
    }
    text
}

/// Compares all instructions that `is_wanted` takes, each with `rounds` random states.
fn lock_step(seed: u64, rounds: u32, is_wanted: impl Fn(&Instruction) -> bool) {
    let pair = &mut Pair::new(seed);
    let templates = templates(|insn| is_wanted(insn));
    let mut wrong = Vec::new();
    for ((code, in_memory), encodings) in &templates {
        let mut differences = 0;
        let mut first = String::new();
        for _ in 0..rounds {
            let template = encodings[pair.random.below(encodings.len() as u64) as usize];
            let bytes = template.encode(&mut pair.random);
            let insn = decode(&bytes, pair.native.code());
            if insn.code() != *code || !spares_stack(&insn) {
                continue;
            }
            let mut data = [0; PAGE];
            let base = pair.native.data();
            let frame = pair.random.frame(base, &mut data);
            let bytes = &bytes[..insn.len()];
            if let Err(why) = pair.compare(bytes, &frame, &data) {
                differences += 1;
                if differences == 1 {
                    first = format!("{bytes:02x?}: {why}\n    {}", operands(&insn, &frame, &data, base));
                }
            }
        }
        if differences > 0 {
            wrong.push(format!("{code:?}, memory {in_memory}: {differences} of {rounds}: {first}"));
        }
    }
    println!("{} instructions, {rounds} times each", templates.len());
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn is_x87(insn: &Instruction) -> bool {
    let is_there =
        |feature: &F| matches!(feature, F::FPU | F::FPU287 | F::FPU387 | F::CMOV | F::SSE3 | F::FXSR);
    let features = insn.cpuid_features();
    features.iter().any(|feature| matches!(feature, F::FPU | F::FPU287 | F::FPU387 | F::FXSR))
        && features.iter().all(is_there)
        && !is_transcendental(insn)
}

/// Returns true for x87 instructions whose results may be off by less than one unit in the last place.
fn is_transcendental(insn: &Instruction) -> bool {
    matches!(
        insn.mnemonic(),
        M::Fsin | M::Fcos | M::Fsincos | M::Fptan | M::Fpatan | M::F2xm1 | M::Fyl2x | M::Fyl2xp1
    )
}

#[test]
fn x87_instructions_are_those_of_the_machine() {
    lock_step(2, if cfg!(debug_assertions) { 300 } else { 5_000 }, is_x87);
}

#[test]
fn transcendental_functions_are_near_those_of_the_machine() {
    lock_step(4, if cfg!(debug_assertions) { 3_000 } else { 50_000 }, is_transcendental);
}

#[test]
fn vector_instructions_are_those_of_the_machine() {
    lock_step(1, if cfg!(debug_assertions) { 300 } else { 5_000 }, is_vector);
}

/// Returns true for instructions that compute, with general registers and memory.
fn is_general(insn: &Instruction) -> bool {
    let is_there = |feature: &F| {
        matches!(
            feature,
            F::INTEL8086
                | F::INTEL186
                | F::INTEL286
                | F::INTEL386
                | F::INTEL486
                | F::X64
                | F::CMOV
                | F::CMPXCHG16B
                | F::CX8
                | F::MOVBE
                | F::POPCNT
        )
    };
    let touches_segment = (0..insn.op_count()).any(|index| insn.op_register(index).is_segment_register());
    let is_excluded = insn.is_privileged() || insn.is_stack_instruction() || touches_segment;
    let is_elsewhere = matches!(
        insn.mnemonic(),
        M::Lar
            | M::Lsl
            | M::Verr
            | M::Verw
            | M::Sldt
            | M::Str
            | M::Smsw
            | M::Sgdt
            | M::Sidt
            | M::Xlatb
            | M::Lss
            | M::Lfs
            | M::Lgs
    );
    // A bit in memory by a number in a register can be anywhere.
    let is_bit = matches!(insn.mnemonic(), M::Bt | M::Bts | M::Btr | M::Btc);
    let is_anywhere = is_bit && insn.op0_kind() == OpKind::Memory && insn.op1_kind() == OpKind::Register
        || insn.memory_displ_size() == 8;
    // Each repetition of a string instruction is one for the interpreter.
    let is_repeated = insn.is_string_instruction() && (insn.has_rep_prefix() || insn.has_repne_prefix());
    insn.flow_control() == FlowControl::Next
        && !is_anywhere
        && !is_repeated
        && insn.cpuid_features().iter().all(is_there)
        && insn.op_kinds().all(|kind| !matches!(kind, OpKind::MemorySegSI | OpKind::MemorySegESI))
        && !is_excluded
        && !is_elsewhere
}

#[test]
fn general_instructions_are_those_of_the_machine() {
    lock_step(3, if cfg!(debug_assertions) { 300 } else { 5_000 }, is_general);
}
