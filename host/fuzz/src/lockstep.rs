//! Any instructions in any state, on the interpreter and on KVM, which end alike: in registers, memory and exit.
//!
//! A run is a few instructions, and `hlt` everywhere else: behind them, in all handlers, and where a jump can lead. Where
//! the two differ, both are stepped to the first instruction that differs.

#![allow(
    clippy::cast_possible_truncation,
    reason = "all addresses are below 1 MiB, and values are cut on purpose"
)]

use std::{cell::RefCell, fmt::Write as _, sync::Arc, time::Duration};

use arbitrary::Unstructured;
use guest_abi::mode::CpuMode;
use guestlab::cpu::{
    Cpu, CpuState, Direction, EMULATION, Engine, Exit, MemoryPlan, Rights, Segment, Table, Until,
    identity::{FOUR_LEVELS_SIZE, four_levels},
    state::{reg, seg},
};
use iced_x86::{
    Code, CodeSize, CpuidFeature, Decoder, DecoderOptions, Instruction, MemorySize, Mnemonic, OpKind,
    Register, RflagsBits,
};

use super::engines::{self, Kicks};

/// The addresses of the tables and of what a guest works with.
const GDT: u64 = 0x800;
const IDT: u64 = 0x1000;
const TSS: u64 = 0x2000;
const CODE: u32 = 0x8000;
const STACK: u64 = 0xA000;
const DATA: u64 = 0xB000;
const INNER_STACK: u64 = 0x9000;
const TABLES: u32 = 0x1_1000;
const END: u64 = (TABLES + FOUR_LEVELS_SIZE) as u64;

/// Each vector has a handler of one byte, `hlt`, from this address on.
const HANDLERS: u64 = 0x600;
const HLT: u8 = 0xF4;

/// Flags.
const ZF: u64 = 1 << 6;
const SF: u64 = 1 << 7;
const TF: u64 = 1 << 8;
const AC: u64 = 1 << 18;

/// The most instructions of a run by themselves: a loop ends here, and is not compared.
const MOST: u64 = 200;

/// The time between two kicks, and the number of them after which a run has no end. Both engines come to their end in
/// far less.
const TIME: Duration = Duration::from_millis(100);
const KICKS: u32 = 3;

/// The descriptors, each at its selector.
const DESCRIPTORS: [(u16, u64); 8] = [
    (0x08, 0x00CF_9B00_0000_FFFF),
    (0x10, 0x00CF_9300_0000_FFFF),
    (0x18, 0x00AF_9B00_0000_FFFF),
    (0x20, 0x000F_9B00_0000_FFFF),
    (0x28, 0x0000_9300_0000_FFFF),
    (0x30, 0x00CF_FB00_0000_FFFF),
    (0x38, 0x00CF_F300_0000_FFFF),
    (0x40, 0x00AF_FB00_0000_FFFF),
];
const TASK: u16 = 0x48;

/// The way in which a guest begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Real,
    Protected,
    Protected16,
    User,
    Virtual8086,
    Long,
    LongUser,
    Compatibility,
}

const STARTS: [Start; 8] = [
    Start::Real,
    Start::Protected,
    Start::Protected16,
    Start::User,
    Start::Virtual8086,
    Start::Long,
    Start::LongUser,
    Start::Compatibility,
];

impl Start {
    fn mode(self) -> CpuMode {
        match self {
            Self::Real => CpuMode::Real,
            Self::Protected | Self::Protected16 | Self::User | Self::Virtual8086 => CpuMode::Protected,
            Self::Long | Self::LongUser | Self::Compatibility => CpuMode::Long,
        }
    }

    /// Returns the selectors of code and data.
    fn selectors(self) -> (u16, u16) {
        match self {
            Self::Real | Self::Virtual8086 => (0, 0),
            Self::Protected | Self::Compatibility => (0x08, 0x10),
            Self::Protected16 => (0x20, 0x28),
            Self::User => (0x33, 0x3B),
            Self::Long => (0x18, 0x10),
            Self::LongUser => (0x43, 0x3B),
        }
    }
}

/// The end of a comparison without a difference that is ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Both ended alike.
    Same,
    /// Both ended alike but for flags that the manual leaves undefined.
    Undefined,
    /// The run was not compared, for this reason.
    Skipped(String),
    /// KVM differs from the manual, in a way that is in the table.
    Theirs(&'static str),
}

/// Compares a run, and panics if the interpreter is wrong.
pub fn run(data: &[u8]) {
    compare(data);
}

/// Compares a run, and panics if the interpreter is wrong. Returns `None` on a machine without KVM.
pub fn compare(data: &[u8]) -> Option<Outcome> {
    thread_local! {
        static PAIR: RefCell<Option<Pair>> = const { RefCell::new(None) };
    }
    let kvm = engines::kvm()?;
    let case = Case::new(&mut Unstructured::new(data)).ok()?;
    Some(PAIR.with_borrow_mut(|pair| pair.get_or_insert_with(|| Pair::new(kvm)).compare(&case)))
}

/// A run's beginning.
#[derive(Debug)]
struct Case {
    start: Start,
    state: CpuState,
    code: Vec<u8>,
    memory: Vec<u8>,
}

impl Case {
    fn new(data: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        let start = *data.choose(&STARTS)?;
        let state = state(start, data)?;
        let mut code = Vec::new();
        for _ in 0..data.int_in_range(1..=4)? {
            code.extend(instruction(state.bits(), data)?);
        }
        let memory = memory(start, &code, data)?;
        Ok(Self { start, state, code, memory })
    }
}

impl Case {
    fn of(start: Start, code: Vec<u8>) -> Self {
        let zeros = [0; 4096];
        let mut data = Unstructured::new(&zeros);
        let state = state(start, &mut data).expect("a state");
        let memory = memory(start, &code, &mut data).expect("memory");
        Self { start, state, code, memory }
    }
}

/// Returns a number that is often an address, small, or near a power of two.
fn number(data: &mut Unstructured<'_>) -> arbitrary::Result<u64> {
    let power = 1_u64 << data.int_in_range(0..=63)?;
    Ok(match data.int_in_range(0..=5)? {
        0..=2 => data.int_in_range(STACK - 0x100..=0xF000)?,
        3 => data.int_in_range(0..=0xFF)?,
        4 => power.wrapping_sub(data.int_in_range(0..=1)?),
        _ => data.arbitrary()?,
    })
}

fn state(start: Start, data: &mut Unstructured<'_>) -> arbitrary::Result<CpuState> {
    let mode = start.mode();
    let mut state = CpuState::flat(mode, CODE, STACK as u32, TABLES);
    let (code, stack) = start.selectors();
    for (index, segment) in state.segments.iter_mut().enumerate() {
        *segment = match (start, index) {
            (Start::Real, _) => *segment,
            (Start::Virtual8086, _) => Segment { selector: 0, base: 0, limit: 0xFFFF, rights: Rights(0xF3) },
            (_, seg::CS) => loaded(code),
            _ => loaded(stack),
        };
    }
    for register in &mut state.general {
        *register = number(data)?;
        if mode != CpuMode::Long {
            *register &= u64::from(u32::MAX);
        }
    }
    if start != Start::Long && start != Start::LongUser {
        state.general[8..].fill(0);
        state.general[..8].iter_mut().for_each(|register| *register &= u64::from(u32::MAX));
    }
    state.general[reg::RSP] = STACK - 8 * data.int_in_range(0..=15)?;
    state.general[reg::RBP] = STACK - data.int_in_range(0..=0x80)?;
    // Repetitions end soon.
    if data.ratio(3, 4)? {
        state.general[reg::RCX] = data.int_in_range(0..=40)?;
    }
    const STATUS: u64 = 0xCD5;
    state.flags = data.arbitrary::<u64>()? & STATUS | 2;
    if start == Start::Virtual8086 {
        state.flags |= 1 << 17 | (u64::from(data.ratio(1, 2)?) * 3) << 12;
    } else if data.ratio(1, 4)? {
        state.flags |= data.arbitrary::<u64>()? & 0x20_7200;
    }
    let idt = match mode {
        CpuMode::Real => Table { base: 0, limit: 0x3FF },
        CpuMode::Long => Table { base: IDT, limit: 0xFFF },
        _ => Table { base: IDT, limit: 0x7FF },
    };
    state.idt = idt;
    state.gdt = Table { base: GDT, limit: 0x57 };
    if mode != CpuMode::Real {
        state.ldt = Segment { rights: Rights::UNUSABLE, ..Segment::default() };
        state.tr = Segment { selector: TASK, base: TSS, limit: 0x67, rights: Rights(0x8B) };
    }
    Ok(state)
}

/// Returns a segment as it is after its selector was loaded.
fn loaded(selector: u16) -> Segment {
    let (_, descriptor) = DESCRIPTORS[usize::from(selector >> 3) - 1];
    let limit = (descriptor & 0xFFFF | descriptor >> 32 & 0xF_0000) as u32;
    let is_in_pages = descriptor >> 55 & 1 != 0;
    let limit = if is_in_pages { limit << 12 | 0xFFF } else { limit };
    Segment { selector, base: 0, limit, rights: Rights::from_descriptor(descriptor) }
}

/// Returns memory with all tables, random data and the code, and `hlt` everywhere else.
fn memory(start: Start, code: &[u8], data: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let mut memory = vec![HLT; END as usize];
    let mut put = |address: u64, bytes: &[u8]| {
        memory[address as usize..address as usize + bytes.len()].copy_from_slice(bytes);
    };
    for vector in 0..256_u64 {
        let handler = HANDLERS + vector;
        match start.mode() {
            CpuMode::Real => put(4 * vector, &(handler as u32).to_le_bytes()),
            CpuMode::Long => {
                put(IDT + 16 * vector, &(handler | 0x18 << 16 | 0xEE00 << 32).to_le_bytes());
                put(IDT + 16 * vector + 8, &[0; 8]);
            }
            _ => {
                put(4 * vector, &(handler as u32).to_le_bytes());
                put(IDT + 8 * vector, &(handler | 0x08 << 16 | 0xEE00 << 32).to_le_bytes());
            }
        }
    }
    put(GDT, &[0; 0x60]);
    for (selector, descriptor) in DESCRIPTORS {
        put(GDT + u64::from(selector), &descriptor.to_le_bytes());
    }
    let task = TSS << 16 | 0x8B00 << 32 | 0x67;
    put(GDT + u64::from(TASK), &task.to_le_bytes());
    put(TSS, &[0; 0x68]);
    put(TSS + 4, &(INNER_STACK as u32).to_le_bytes());
    put(TSS + 8, &if start.mode() == CpuMode::Long { [0; 4] } else { 0x10_u32.to_le_bytes() });
    put(TSS + 0x66, &0x68_u16.to_le_bytes());
    if start.mode() == CpuMode::Long {
        let mut tables = four_levels(TABLES);
        tables.chunks_exact_mut(8).filter(|entry| entry[0] & 1 != 0).for_each(|entry| entry[0] |= 4);
        put(TABLES.into(), &tables);
    }
    let (random, len) = (data.arbitrary::<[u8; 32]>()?, STACK + 0x40 - DATA.min(STACK - 0x100));
    for at in (0..len / 32).map(|index| STACK - 0x100 + 32 * index).chain((DATA..DATA + 0x400).step_by(32)) {
        put(at, &random);
    }
    put(CODE.into(), code);
    Ok(memory)
}

/// Returns the bytes of an instruction that can be compared.
fn instruction(bits: u32, data: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    loop {
        let bytes = bytes(bits, data)?;
        let instruction = Decoder::new(bits, &bytes, DecoderOptions::NONE).decode();
        let is_comparable = is_comparable(&instruction);
        if data.is_empty() {
            // `nop`.
            return Ok(vec![0x90]);
        }
        if is_comparable {
            return Ok(bytes[..instruction.len()].to_vec());
        }
    }
}

fn bytes(bits: u32, data: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    const PREFIXES: [u8; 12] = [0x66, 0x66, 0x67, 0x67, 0xF0, 0xF2, 0xF3, 0x2E, 0x36, 0x3E, 0x26, 0x64];
    let mut bytes = Vec::new();
    while data.ratio(1, 5)? && bytes.len() < 3 {
        bytes.push(*data.choose(&PREFIXES)?);
    }
    if bits == 64 && data.ratio(1, 2)? {
        bytes.push(0x40 | data.int_in_range(0..=15)?);
    }
    match data.int_in_range(0..=9)? {
        0..=5 => {}
        6..=8 => bytes.push(0x0F),
        _ => bytes.extend([0x0F, 0x38]),
    }
    bytes.extend(data.arbitrary::<[u8; 2]>()?);
    // Displacements and immediate values: small, so that addresses are in memory, or any.
    let small = data.ratio(3, 4)?;
    for _ in 0..2 {
        let value = if small { data.int_in_range(0..=0x1FF)? } else { data.arbitrary()? };
        bytes.extend(i32::to_le_bytes(value));
    }
    bytes.resize(15, 0);
    Ok(bytes)
}

/// Returns true for an instruction that both engines have, and that does the same each time.
fn is_comparable(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    if instruction.is_invalid() {
        return false;
    }
    let is_other = instruction.cpuid_features().iter().any(|feature| {
        !matches!(
            feature,
            CpuidFeature::INTEL8086
                | CpuidFeature::INTEL8086_ONLY
                | CpuidFeature::INTEL186
                | CpuidFeature::INTEL286
                | CpuidFeature::INTEL386
                | CpuidFeature::INTEL486
                | CpuidFeature::X64
                | CpuidFeature::CMOV
                | CpuidFeature::CX8
                | CpuidFeature::CMPXCHG16B
                | CpuidFeature::MOVBE
                | CpuidFeature::POPCNT
                | CpuidFeature::MULTIBYTENOP
        )
    });
    let varies = matches!(
        instruction.mnemonic(),
        // The machine differs, or the answer is not of the instruction.
        M::Rdtsc
            | M::Rdtscp
            | M::Cpuid
            | M::Rdmsr
            | M::Wrmsr
            | M::Rdpmc
            | M::Wbinvd
            | M::Invd
            | M::Lmsw
            | M::Insb
            | M::Insw
            | M::Insd
            | M::Outsb
            | M::Outsw
            | M::Outsd
            | M::Int1
    );
    let sets_system = instruction.op0_register().is_cr() || instruction.op0_register().is_dr();
    // Its result is not defined.
    let is_undefined = instruction.code() == Code::Bswap_r16;
    !is_other && !varies && !sets_system && !is_undefined
}

/// One CPU of each engine.
struct Pair {
    ours: Box<dyn Cpu>,
    theirs: Box<dyn Cpu>,
    kvm: Arc<dyn Engine>,
    /// The beginnings that KVM can be compared in.
    comparable: Vec<Start>,
    _kicks: Kicks,
}

fn create(engine: &dyn Engine) -> Box<dyn Cpu> {
    engine.create(&MemoryPlan::below(END)).expect("a VM")
}

impl Pair {
    fn new(kvm: Arc<dyn Engine>) -> Self {
        let ours = create(&*engines::soft());
        let theirs = create(&*kvm);
        let kicks = Kicks::every(TIME, theirs.kick());
        let mut pair = Self { ours, theirs, kvm, comparable: Vec::new(), _kicks: kicks };
        pair.comparable = STARTS.into_iter().filter(|start| pair.is_comparable(*start)).collect();
        pair
    }

    /// Tries whether pushed flags, and the frame of an exception, are as the manual says. Some KVM modules do not have
    /// virtual-8086 mode, or run code of privilege 3 with flags of their own.
    fn is_comparable(&mut self, start: Start) -> bool {
        // `pushf`, `ud2`.
        let (ours, theirs) = self.ends(&Case::of(start, vec![0x9C, 0x0F, 0x0B]));
        ours == theirs
    }

    fn compare(&mut self, case: &Case) -> Outcome {
        begin(&mut *self.ours, case);
        let ours = match self.ours.run(Until::Count(MOST)).expect("it runs") {
            Exit::Debug { .. } => return Outcome::Skipped("it does not end".into()),
            Exit::InternalError { suberror } => return Outcome::Skipped(self.why_we_stopped(suberror)),
            exit => exit,
        };
        if !self.comparable.contains(&case.start) {
            return Outcome::Skipped(format!("KVM is not comparable here: {:?}", case.start));
        }
        begin(&mut *self.theirs, case);
        let theirs = finish(&mut *self.theirs, Until::Exit);
        if let Exit::InternalError { .. } = theirs {
            return Outcome::Skipped("KVM cannot emulate it".into());
        }
        let (our_end, their_end) = (End::of(&mut *self.ours, ours), End::of(&mut *self.theirs, theirs));
        if our_end == their_end {
            return Outcome::Same;
        }
        self.explain(case)
    }

    /// Returns the reason for our internal error.
    fn why_we_stopped(&mut self, suberror: u32) -> String {
        let state = self.ours.registers().expect("registers");
        let insn = next(&*self.ours, &state);
        if suberror != EMULATION {
            return "an exception that cannot be delivered".into();
        }
        match state.instruction() + insn.len() as u64 > END {
            true => "code where there is no memory".into(),
            false => format!("we do not have {:?}", insn.mnemonic()),
        }
    }

    /// Finds the first instruction that the two differ about: the last of the shortest beginning of the code.
    fn explain(&mut self, case: &Case) -> Outcome {
        let lengths = lengths(&case.code, case.state.bits());
        for (len, insn) in &lengths {
            let mut memory = case.memory.clone();
            memory[CODE as usize + len..][..case.code.len() - len].fill(HLT);
            let shorter =
                Case { memory, state: case.state.clone(), code: case.code[..*len].to_vec(), ..*case };
            let (ours, theirs) = self.ends(&shorter);
            if ours == theirs {
                continue;
            }
            let executed = self.executed(&shorter);
            return match excuse(insn, &executed, &ours, &theirs) {
                Some(outcome) => outcome,
                None if self.is_same_on_a_new_cpu(&shorter) => break,
                None => panic!("{}", difference(insn, &executed, &shorter, &ours, &theirs)),
            };
        }
        // A new CPU and memory of the same contents: the interpreter has no other state.
        Outcome::Theirs("KVM differs once, and not again")
    }

    /// Tries a run on a new CPU of KVM, which has executed nothing before.
    fn is_same_on_a_new_cpu(&mut self, case: &Case) -> bool {
        self.theirs = create(&*self.kvm);
        self._kicks = Kicks::every(TIME, self.theirs.kick());
        let (ours, theirs) = self.ends(case);
        ours == theirs
    }

    /// Returns the instructions that a run of ours executes, in order.
    fn executed(&mut self, case: &Case) -> Vec<Instruction> {
        begin(&mut *self.ours, case);
        let mut all = Vec::new();
        for _ in 0..MOST {
            let state = self.ours.registers().expect("registers");
            all.push(next(&*self.ours, &state));
            match self.ours.run(Until::Step).expect("it runs") {
                Exit::Debug { .. } => {}
                _ => break,
            }
        }
        all
    }

    fn ends(&mut self, case: &Case) -> (End, End) {
        begin(&mut *self.ours, case);
        let ours = self.ours.run(Until::Count(MOST)).expect("it runs");
        begin(&mut *self.theirs, case);
        let theirs = finish(&mut *self.theirs, Until::Exit);
        (End::of(&mut *self.ours, ours), End::of(&mut *self.theirs, theirs))
    }
}

/// Returns the reason for a difference that is not ours.
fn excuse(insn: &Instruction, executed: &[Instruction], ours: &End, theirs: &End) -> Option<Outcome> {
    // There are few instructions, so that a flag is seldom set again.
    let undefined = executed.iter().map(undefined).fold(0, |all, flags| all | flags);
    if ours.differs_in_flags_only(theirs, undefined) {
        return Some(Outcome::Undefined);
    }
    if let Exit::In { .. } | Exit::Out { .. } = ours.exit
        && [ours, theirs].iter().any(|end| end.state.as_ref().is_some_and(|state| state.flags & TF != 0))
    {
        // KVM completes the access without the exception behind it, which comes with the next run.
        return Some(Outcome::Skipped("a single step behind an access to a port".into()));
    }
    if executed.iter().any(|insn| !insn.is_invalid() && !is_comparable(insn)) {
        let why = "an instruction that is not compared, in memory that the code has jumped to";
        return Some(Outcome::Skipped(why.into()));
    }
    theirs_to_explain(insn, executed, undefined, ours, theirs).map(Outcome::Theirs)
}

/// Returns the instruction that a CPU is about to execute.
fn next(cpu: &dyn Cpu, state: &CpuState) -> Instruction {
    let mut code = [0; 15];
    let len = END.saturating_sub(state.instruction()).min(15) as usize;
    let _ = cpu.memory().read(state.instruction(), &mut code[..len]);
    Decoder::with_ip(state.bits(), &code, state.ip, DecoderOptions::NONE).decode()
}

/// Returns the instructions of some code, each with the number of bytes up to its end.
fn lengths(code: &[u8], bits: u32) -> Vec<(usize, Instruction)> {
    let mut decoder = Decoder::with_ip(bits, code, CODE.into(), DecoderOptions::NONE);
    let mut all = Vec::new();
    while decoder.can_decode() {
        let insn = decoder.decode();
        all.push((decoder.position(), insn));
    }
    all
}

/// Returns the flags that an instruction leaves undefined.
fn undefined(insn: &Instruction) -> u64 {
    let rotates = matches!(insn.mnemonic(), Mnemonic::Rcl | Mnemonic::Rcr);
    // OF is defined for a count of 1 only, also where the count is a whole turn.
    let undefined = insn.rflags_undefined() | if rotates { RflagsBits::OF } else { 0 };
    [
        (RflagsBits::CF, 0),
        (RflagsBits::PF, 2),
        (RflagsBits::AF, 4),
        (RflagsBits::ZF, 6),
        (RflagsBits::SF, 7),
        (RflagsBits::OF, 11),
    ]
    .into_iter()
    .filter(|(flag, _)| undefined & flag != 0)
    .fold(0, |all, (_, bit)| all | 1 << bit)
}

/// Returns the reason, if a difference is one that KVM's emulator of instructions is known for. `docs/engines.md` has
/// what the manual says on each.
fn theirs_to_explain(
    insn: &Instruction,
    executed: &[Instruction],
    undefined: u64,
    ours: &End,
    theirs: &End,
) -> Option<&'static str> {
    use Mnemonic as M;
    const UD: u64 = 6;
    let has_executed =
        |mnemonics: &[Mnemonic]| executed.iter().any(|insn| mnemonics.contains(&insn.mnemonic()));
    // `int 6` goes to the same handler.
    if theirs.vector() == Some(UD) && (ours.vector() != Some(UD) || has_executed(&[M::Int])) {
        return Some("KVM's emulator does not have the instruction, and raises #UD");
    }
    if (theirs.vector() == Some(8) || theirs.exit == Exit::Shutdown) && has_executed(&[M::Movbe]) {
        return Some("KVM's emulator does not have MOVBE, and its #UD cannot be delivered");
    }
    let is_far_pointer = matches!(insn.memory_size(), MemorySize::SegPtr16 | MemorySize::SegPtr32);
    if is_far_pointer && ours.vector() == theirs.vector() && ours.vector().is_some() {
        return Some("a far pointer goes on behind the end of 16-bit addresses");
    }
    let has_short_address = [insn.memory_base(), insn.memory_index()].iter().any(|it| it.size() == 2);
    let is_table = matches!(insn.mnemonic(), M::Lgdt | M::Lidt) && has_short_address;
    if is_table && theirs.vector() == Some(13) && ours.vector().is_none() {
        return Some("the operand of LGDT or LIDT goes on behind the end of 16-bit addresses");
    }
    if theirs.exit == Exit::Shutdown && has_executed(&[M::Enter]) {
        return Some("ENTER does not look whether the end of its frame can be written");
    }
    if theirs.exit == Exit::Interrupted {
        return Some("KVM begins the instruction again and again");
    }
    let is_at_end = |end: &End| {
        end.state.as_ref().is_some_and(|state| !(0x100..0xFF00).contains(&state.general[reg::RSP]))
    };
    if theirs.exit == Exit::Shutdown && (matches!(ours.exit, Exit::Mmio { .. }) || is_at_end(ours)) {
        return Some("KVM shuts down where a handler's stack is not in memory, or begins again at its end");
    }
    if ours.exit == Exit::Shutdown && is_at_end(theirs) {
        return Some("KVM pushes across the end of a stack of 16 bits");
    }
    if let Exit::Mmio { address: 0xFFFF_FFF1..=0xFFFF_FFFF, .. } = theirs.exit
        && (matches!(ours.vector(), Some(12 | 13)) || ours.exit == Exit::Shutdown)
    {
        return Some("an operand may go on at 0 behind 4 GiB (Intel SDM volume 3A, 5.3)");
    }
    if ours.differs_in_flags_only(theirs, AC | undefined) {
        return Some("AC is not kept");
    }
    let loads_stack = matches!(insn.mnemonic(), M::Pop | M::Mov) && insn.op0_register() == Register::SS;
    if loads_stack && ours.state.as_ref().is_some_and(|state| state.flags & TF != 0) {
        return Some("a single step is not held back behind a load of SS");
    }
    if ours.vector().is_some() && ours.differs_in_upper_stack_only(theirs) {
        return Some("an exception in real mode clears the upper half of ESP");
    }
    if let (Exit::Mmio { .. }, Exit::Mmio { .. }) = (&ours.exit, &theirs.exit) {
        return Some("the accesses of one instruction come in another order");
    }
    let faults_on_write = match ours.exit {
        Exit::Shutdown => insn.op0_kind() == OpKind::Memory,
        _ => ours.vector() == Some(13),
    };
    if let (true, Exit::Mmio { direction: Direction::In, .. }) = (faults_on_write, &theirs.exit) {
        return Some("an operand that cannot be written is read before #GP");
    }
    if has_executed(&[M::Ltr, M::Lldt]) && ours.vector() == Some(13) && ours.state == theirs.state {
        return Some("LTR and LLDT: the error code of a selector of the LDT is 0");
    }
    if matches!(insn.mnemonic(), M::Into | M::Int | M::Int3) && ours.exit == theirs.exit {
        return Some("INT pushes 32 bits in real mode after a prefix, and raises #GP in protected mode");
    }
    let is_long = ours.state.as_ref().is_some_and(CpuState::is_long);
    if insn.mnemonic() == M::Int && is_long && theirs.vector().is_none() {
        return Some("INT in long mode is passed over, or taken for another instruction");
    }
    if insn.mnemonic() == M::Enter {
        return Some("ENTER pushes as many bytes as the stack has, whatever its operands");
    }
    if insn.mnemonic() == M::Reservednop {
        return Some("a reserved NOP has no displacement");
    }
    let writes_selector = insn.op0_kind() == OpKind::Memory && insn.memory_size() == MemorySize::UInt16;
    if insn.code_size() == CodeSize::Code64 && writes_selector && ours.state == theirs.state {
        return Some("a selector is written with 8 bytes after REX.W");
    }
    let is_repeated = insn.has_rep_prefix() || insn.has_repne_prefix();
    if is_repeated && ours.vector() == theirs.vector() && ours.vector().is_some() {
        return Some("a fault in a later repetition has the flags of the first");
    }
    if is_repeated && ours.vector() == Some(1) {
        return Some("a single step is not taken between two repetitions");
    }
    if executed.iter().any(|insn| insn.op1_register() == Register::CR3) && theirs.exit == Exit::Shutdown {
        return Some(
            "the guest writes into its page tables, whose translations may be kept (Intel SDM volume 3A, 4.10)",
        );
    }
    if is_repeated && insn.code_size() == CodeSize::Code64 && ours.memory == theirs.memory {
        return Some("a count of 0 in ECX clears the upper half of RCX");
    }
    if has_executed(&[M::Cmpxchg]) && ours.exit == theirs.exit && ours.memory == theirs.memory {
        return Some("CMPXCHG of 32 bits clears the upper half of a register that it does not write");
    }
    if has_executed(&[M::Aad, M::Aam]) && ours.differs_in_flags_only(theirs, AC | ZF | SF | undefined) {
        return Some("AAD and AAM: ZF and SF are not those of AL");
    }
    let mut behind = executed.iter().skip_while(|insn| !matches!(insn.mnemonic(), M::Aad | M::Aam)).skip(1);
    if behind.any(|insn| insn.rflags_read() & (RflagsBits::ZF | RflagsBits::SF) != 0) {
        return Some("AAD and AAM: ZF and SF are not those of AL, and another instruction reads them");
    }
    if has_executed(&[M::Iret, M::Iretd, M::Iretq]) && ours.exit == theirs.exit && ours.state == theirs.state
    {
        return Some("IRET: the error code of a bad selector is 0");
    }
    if insn.code_size() == CodeSize::Code64
        && matches!((ours.vector(), theirs.vector()), (Some(12 | 13), Some(12 | 13)))
    {
        return Some("prefixes of segments that 64-bit code ignores choose between #SS and #GP");
    }
    None
}

/// The end of a run or a step.
#[derive(Debug, PartialEq)]
struct End {
    exit: Exit,
    /// Nothing in the middle of an access to a device.
    state: Option<CpuState>,
    memory: Vec<u8>,
}

impl End {
    /// Returns the vector whose handler has halted the guest.
    fn vector(&self) -> Option<u64> {
        let behind = self.state.as_ref()?.ip.checked_sub(HANDLERS + 1)?;
        (behind < 256).then_some(behind)
    }

    /// Returns true if the memory differs in pushed flags at most, and there in these only.
    fn memory_differs_in(&self, other: &Self, flags: u64) -> bool {
        let [low, high, higher, ..] = flags.to_le_bytes();
        let bits = low | high | higher;
        self.memory.iter().zip(&other.memory).all(|(ours, theirs)| (ours ^ theirs) & !bits == 0)
    }

    /// Returns true if the two differ in these flags only, in the register or as they were pushed.
    fn differs_in_flags_only(&self, other: &Self, flags: u64) -> bool {
        let (Some(state), Some(others)) = (&self.state, &other.state) else { return false };
        let same = CpuState { flags: state.flags & !flags | others.flags & flags, ..state.clone() };
        same == *others && self.exit == other.exit && self.memory_differs_in(other, flags)
    }

    /// Returns true if the two differ in the upper half of ESP only, which the other has lost.
    fn differs_in_upper_stack_only(&self, other: &Self) -> bool {
        let (Some(state), Some(others)) = (&self.state, &other.state) else { return false };
        let mut same = state.clone();
        same.general[reg::RSP] &= 0xFFFF;
        same == *others && self.exit == other.exit && self.memory == other.memory
    }

    fn of(cpu: &mut dyn Cpu, exit: Exit) -> Self {
        // The page tables behind it differ in the bits that some KVM modules set for themselves.
        let mut memory = vec![0; TABLES as usize];
        // Where the CPU shuts down, the frames of the exceptions before are not defined.
        if exit != Exit::Shutdown {
            cpu.memory().read(0, &mut memory).expect("memory");
        }
        if let Exit::In { .. } | Exit::Out { .. } = exit {
            cpu.answer(0x5A5A_A5A5);
            cpu.complete().expect("it completes");
        }
        // How an access to a device is cut into parts is not defined.
        let exit = match exit {
            Exit::Mmio { address, direction, .. } => Exit::Mmio { address, direction, len: 0 },
            // KVM takes a REP prefix of IN for one that repeats.
            Exit::In { port, width, .. } => Exit::In { port, width, count: 1 },
            exit => exit,
        };
        let is_whole = !matches!(exit, Exit::Mmio { .. } | Exit::Shutdown);
        let state = is_whole.then(|| {
            let mut state = cpu.state().expect("a state");
            state.fpu = CpuState::reset().fpu;
            // The task is busy, whatever an engine says of it.
            state.tr.rights = Rights(state.tr.rights.0 | 2);
            // The hidden part of a segment register with a null selector is not defined.
            if state.is_protected() && !state.is_virtual_8086() {
                for segment in state.segments.iter_mut().filter(|segment| segment.selector < 4) {
                    *segment = Segment { selector: segment.selector, ..Segment::default() };
                }
            }
            state
        });
        Self { exit, state, memory }
    }
}

fn begin(cpu: &mut dyn Cpu, case: &Case) {
    let memory =
        if case.start.mode() == CpuMode::Long { &case.memory[..] } else { &case.memory[..TABLES as usize] };
    // A new state comes first: it ends what the last run left, and that may still write memory.
    cpu.set_state(&case.state).expect("a state");
    cpu.memory_mut().write(0, memory).expect("memory");
    cpu.set_state(&case.state).expect("a state");
}

/// Runs KVM's CPU. [`Exit::Interrupted`] if it does not end in time.
fn finish(cpu: &mut dyn Cpu, until: Until) -> Exit {
    for _ in 0..KICKS {
        match cpu.run(until).expect("it runs") {
            Exit::Interrupted => {}
            exit => return exit,
        }
    }
    Exit::Interrupted
}

/// Returns a text that says where two ends differ.
fn difference(insn: &Instruction, executed: &[Instruction], case: &Case, ours: &End, theirs: &End) -> String {
    let before = &case.state;
    let mut text = format!(
        "{insn} ({:?}), {:?}, code {:02x?}\nours, and theirs:\n{:?}\n{:?}\n",
        insn.code(),
        case.start,
        case.code,
        ours.exit,
        theirs.exit
    );
    if let (Some(ours), Some(theirs)) = (&ours.state, &theirs.state) {
        let (ours, theirs) = (format!("{ours:#x?}"), format!("{theirs:#x?}"));
        for (ours, theirs) in ours.lines().zip(theirs.lines()).filter(|(ours, theirs)| ours != theirs) {
            let _ = writeln!(text, "{ours}\n{theirs}");
        }
    }
    let differ =
        ours.memory.iter().zip(&theirs.memory).enumerate().filter(|(_, (ours, theirs))| ours != theirs);
    for (address, (ours, theirs)) in differ.take(16) {
        let _ = writeln!(text, "{address:#x}: {ours:#x} {theirs:#x}");
    }
    // They can be in memory that the code has jumped to.
    for insn in executed {
        let _ = writeln!(text, "{:#x}: {insn}", insn.ip());
    }
    let _ = writeln!(
        text,
        "before: {:x?}\nflags {:#x}, cs {:x?}",
        before.general, before.flags, before.segments[1]
    );
    text
}
