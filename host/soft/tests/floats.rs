//! When vector and floating-point instructions may be used, and what is not in a register: control bits, exceptions,
//! devices, the layouts of the state in memory.

#![allow(clippy::cast_possible_truncation, reason = "small constants are cut to size on purpose")]

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, Direction, Exit, MemoryPlan, Until};
use guestlab_soft::SoftCpu;

const CODE: u64 = 0x4000;
const DATA: u64 = 0x5000;
const IDT: u64 = 0x1000;
const GDT: u64 = 0x2000;
const HANDLERS: u64 = 0x3000;
/// The first address without memory.
const HOLE: u64 = 0x1_0000;

const MP: u64 = 1 << 1;
const EM: u64 = 1 << 2;
const TS: u64 = 1 << 3;
const OSFXSR: u64 = 1 << 9;
const OSXMMEXCPT: u64 = 1 << 10;

const UD: u64 = 6;
const NM: u64 = 7;
const GP: u64 = 13;
const MF: u64 = 16;
const XM: u64 = 19;

/// Returns 32-bit code in protected mode, with ESI at the data and a handler for each exception.
fn protected() -> CpuState {
    let mut state = CpuState::flat(CpuMode::Protected, CODE as u32, 0xF000, 0);
    state.general[6] = DATA;
    state.cr4 = OSFXSR | OSXMMEXCPT;
    (state.idt.base, state.idt.limit) = (IDT, 0x7FF);
    (state.gdt.base, state.gdt.limit) = (GDT, 0xFF);
    state
}

fn cpu(state: &CpuState, code: &[u8]) -> SoftCpu {
    let mut cpu = SoftCpu::new(&MemoryPlan::below(HOLE), state);
    let memory = cpu.memory_mut();
    memory.write(CODE, code).expect("memory");
    memory.write(GDT + 8, &0x00CF_9B00_0000_FFFF_u64.to_le_bytes()).expect("memory");
    for vector in 0..32 {
        let gate = (HANDLERS + 16 * vector) | 8 << 16 | 0x8E00 << 32;
        memory.write(IDT + 8 * vector, &gate.to_le_bytes()).expect("memory");
    }
    cpu
}

/// Carries out one instruction, and returns the vector of its exception.
fn exception(cpu: &mut SoftCpu) -> Option<u64> {
    assert_eq!(cpu.run(Until::Count(1)).expect("it runs"), Exit::Debug { points: 0 });
    let ip = cpu.state().expect("a state").ip;
    (HANDLERS..HANDLERS + 0x200).contains(&ip).then(|| (ip - HANDLERS) / 16)
}

fn outcome(code: &[u8], change: impl Fn(&mut CpuState)) -> Option<u64> {
    let mut state = protected();
    change(&mut state);
    exception(&mut cpu(&state, code))
}

const ADDPS: &[u8] = &[0x0F, 0x58, 0xC1];
const PADDB_MMX: &[u8] = &[0x0F, 0xFC, 0xC1];
const CVTPI2PS: &[u8] = &[0x0F, 0x2A, 0xC1];
const LDMXCSR: &[u8] = &[0x0F, 0xAE, 0x16];
const FXSAVE: &[u8] = &[0x0F, 0xAE, 0x06];
const FXRSTOR: &[u8] = &[0x0F, 0xAE, 0x0E];
const MOVNTI: &[u8] = &[0x0F, 0xC3, 0x06];
const CRC32: &[u8] = &[0xF2, 0x0F, 0x38, 0xF1, 0xC1];
const FLD1: &[u8] = &[0xD9, 0xE8];
const FNINIT: &[u8] = &[0xDB, 0xE3];
const FNSTSW: &[u8] = &[0xDF, 0xE0];
const FWAIT: &[u8] = &[0x9B];
const EMMS: &[u8] = &[0x0F, 0x77];

#[test]
fn control_bits_decide_what_may_be_used() {
    // Without bits, without OSFXSR, with EM, with TS, with MP and TS, with a pending exception of x87 (Intel SDM volume
    // 3A, tables 2-2, 12-1 and 13-1).
    type Row = (&'static str, &'static [u8], [Option<u64>; 6]);
    let rows: [Row; 13] = [
        ("addps", ADDPS, [None, Some(UD), Some(UD), Some(NM), Some(NM), None]),
        ("paddb", PADDB_MMX, [None, None, Some(UD), Some(NM), Some(NM), Some(MF)]),
        ("cvtpi2ps", CVTPI2PS, [None, Some(UD), Some(UD), Some(NM), Some(NM), Some(MF)]),
        ("ldmxcsr", LDMXCSR, [None, Some(UD), Some(UD), Some(NM), Some(NM), None]),
        ("fxsave", FXSAVE, [None, None, Some(UD), Some(NM), Some(NM), None]),
        ("fxrstor", FXRSTOR, [None, None, Some(UD), Some(NM), Some(NM), None]),
        ("movnti", MOVNTI, [None; 6]),
        ("crc32", CRC32, [None; 6]),
        ("fld1", FLD1, [None, None, Some(NM), Some(NM), Some(NM), Some(MF)]),
        ("fninit", FNINIT, [None, None, Some(NM), Some(NM), Some(NM), None]),
        ("fnstsw", FNSTSW, [None, None, Some(NM), Some(NM), Some(NM), None]),
        ("fwait", FWAIT, [None, None, None, None, Some(NM), Some(MF)]),
        ("emms", EMMS, [None, None, Some(UD), Some(NM), Some(NM), Some(MF)]),
    ];
    let changes: [fn(&mut CpuState); 6] = [
        |_| (),
        |state| state.cr4 &= !OSFXSR,
        |state| state.cr0 |= EM,
        |state| state.cr0 |= TS,
        |state| state.cr0 |= MP | TS,
        |state| (state.fpu.control, state.fpu.status) = (0x37E, 0x8081),
    ];
    for (name, code, expected) in rows {
        let found = changes.map(|change| outcome(code, change));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn an_exception_of_sse_is_undefined_where_nobody_expects_it() {
    // DIVPS by 0, with the exception of a division by zero not masked.
    let divide = |state: &mut CpuState| {
        state.fpu.mxcsr = 0x1D80;
        state.fpu.xmm[0][..4].copy_from_slice(&1_f32.to_le_bytes());
    };
    assert_eq!(outcome(&[0x0F, 0x5E, 0xC1], divide), Some(XM));
    let unexpected = |state: &mut CpuState| {
        divide(state);
        state.cr4 &= !OSXMMEXCPT;
    };
    assert_eq!(outcome(&[0x0F, 0x5E, 0xC1], unexpected), Some(UD));
}

#[test]
fn bits_of_mxcsr_that_are_not_there_are_refused() {
    for (code, offset) in [(LDMXCSR, 0), (FXRSTOR, 24)] {
        let mut cpu = cpu(&protected(), code);
        cpu.memory_mut().write(DATA + offset, &0x1_1F80_u32.to_le_bytes()).expect("memory");
        assert_eq!(exception(&mut cpu), Some(GP));
        assert_eq!(cpu.state().expect("a state").fpu.mxcsr, 0x1F80);
    }
}

#[test]
fn sixteen_bytes_have_to_be_aligned_unless_the_instruction_says_so() {
    let at = |code: &[u8], address: u64| outcome(code, |state| state.general[6] = address);
    // MOVAPS, MOVUPS, ADDPS.
    assert_eq!(at(&[0x0F, 0x28, 0x06], DATA + 8), Some(GP));
    assert_eq!(at(&[0x0F, 0x10, 0x06], DATA + 8), None);
    assert_eq!(at(&[0x0F, 0x58, 0x06], DATA + 8), Some(GP));
    assert_eq!(at(&[0x0F, 0x58, 0x06], DATA + 16), None);
    assert_eq!(at(FXSAVE, DATA + 8), Some(GP));
}

#[test]
fn sixteen_bytes_of_a_device_are_two_accesses() {
    let mut state = protected();
    state.general[6] = HOLE;
    state.fpu.xmm[1] = [7; 16];
    // MOVAPS XMM0, [ESI]; MOVAPS [ESI], XMM1; HLT.
    let mut cpu = cpu(&state, &[0x0F, 0x28, 0x06, 0x0F, 0x29, 0x0E, 0xF4]);
    for (address, answer) in [(HOLE, 0x1111_1111), (HOLE + 8, 0x2222_2222)] {
        let expected = Exit::Mmio { address, len: 8, direction: Direction::In };
        assert_eq!(cpu.run(Until::Exit).expect("it runs"), expected);
        cpu.answer(answer);
    }
    for address in [HOLE, HOLE + 8] {
        let expected = Exit::Mmio { address, len: 8, direction: Direction::Out };
        assert_eq!(cpu.run(Until::Exit).expect("it runs"), expected);
    }
    assert!(matches!(cpu.run(Until::Exit).expect("it runs"), Exit::Halt { .. }));
    let value = u128::from_le_bytes(cpu.state().expect("a state").fpu.xmm[0]);
    assert_eq!(value, 0x2222_2222_0000_0000_1111_1111);
}

#[test]
fn fxsave_has_the_xmm_registers_that_the_mode_has() {
    let saved = |change: fn(&mut CpuState)| {
        let mut state = protected();
        state.fpu.xmm = [[0x55; 16]; 16];
        change(&mut state);
        let mut cpu = cpu(&state, FXSAVE);
        assert_eq!(exception(&mut cpu), None);
        let mut area = [0; 512];
        cpu.memory().read(DATA, &mut area).expect("memory");
        assert_eq!(area[24..32], [0x80, 0x1F, 0, 0, 0xFF, 0xFF, 0, 0], "MXCSR and its mask");
        area[160..].chunks(16).filter(|register| *register == [0x55; 16]).count()
    };
    assert_eq!(saved(|_| ()), 8);
    assert_eq!(saved(|state| state.cr4 &= !OSFXSR), 0);
}

#[test]
fn fxrstor_takes_what_fxsave_has_stored() {
    let mut state = protected();
    for (index, register) in state.fpu.st.iter_mut().enumerate() {
        register[..10].fill(index as u8 + 1);
    }
    for (index, register) in state.fpu.xmm.iter_mut().enumerate() {
        register.fill(0x80 + index as u8);
    }
    (state.fpu.control, state.fpu.status, state.fpu.tags) = (0x27F, 0x3800, 0x81);
    (state.fpu.instruction, state.fpu.operand, state.fpu.opcode) = (0x1234, 0x5678, 0x7AB);
    state.fpu.mxcsr = 0x1FA0;
    let saved = state.fpu.clone();
    // FXSAVE, FNINIT, XORPS XMM3, XMM3, FXRSTOR.
    let code = [FXSAVE, FNINIT, &[0x0F, 0x57, 0xDB], FXRSTOR].concat();
    let mut cpu = cpu(&state, &code);
    assert_eq!(cpu.run(Until::Count(3)).expect("it runs"), Exit::Debug { points: 0 });
    assert_ne!(cpu.state().expect("a state").fpu, saved);
    assert_eq!(exception(&mut cpu), None);
    assert_eq!(cpu.state().expect("a state").fpu, saved);
}

/// Returns the bytes that FNSTENV writes, in a mode and with a prefix for the other size of operands or none.
fn environment(mut state: CpuState, prefix: Option<u8>) -> [u8; 28] {
    (state.fpu.control, state.fpu.status, state.fpu.tags) = (0x27F, 0x3123, 0b100_0001);
    (state.fpu.instruction, state.fpu.operand, state.fpu.opcode) = (0x5_4321, 0x7_6543, 0x7AB);
    // ST0 is in register 6, ST2 in register 0.
    state.fpu.st[2][7..10].copy_from_slice(&[0x80, 0xFF, 0x3F]);
    state.general[6] = DATA;
    // 16-bit code has another encoding of [SI] than 32-bit code of [ESI].
    let modrm = if state.bits() == 16 { 0x34 } else { 0x36 };
    let code: Vec<u8> = prefix.into_iter().chain([0xD9, modrm]).collect();
    let mut cpu = cpu(&state, &code);
    cpu.memory_mut().write(DATA, &[0xEE; 28]).expect("memory");
    let exit = cpu.run(Until::Count(1)).expect("it runs");
    assert_eq!(exit, Exit::Debug { points: 0 });
    assert_eq!(cpu.state().expect("a state").fpu.control, 0x27F, "its exceptions are masked");
    let mut bytes = [0; 28];
    cpu.memory().read(DATA, &mut bytes).expect("memory");
    bytes
}

#[test]
fn the_environment_has_a_layout_for_each_mode_and_size() {
    let words = |values: [u16; 7]| -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).chain([0xEE; 14]).collect()
    };
    let doubles =
        |values: [u32; 7]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    // Register 0 is valid, register 6 is zero, the others are empty.
    const TAGS: u16 = 0b11_01_11_11_11_11_11_00;
    let real = || {
        let mut state = CpuState::real(CODE as u16);
        state.cr4 = OSFXSR;
        state
    };
    let wide = u32::from(TAGS) | 0xFFFF_0000;
    let protected_wide = [0xFFFF_027F, 0xFFFF_3123, wide, 0x5_4321, 0x7AB << 16, 0x7_6543, 0xFFFF_0000];
    let real_wide = [0xFFFF_027F, 0xFFFF_3123, wide, 0xFFFF_4321, 5 << 12 | 0x7AB, 0xFFFF_6543, 7 << 12];
    assert_eq!(environment(protected(), None)[..], doubles(protected_wide));
    assert_eq!(environment(protected(), Some(0x66))[..], words([0x27F, 0x3123, TAGS, 0x4321, 0, 0x6543, 0]));
    assert_eq!(environment(real(), Some(0x66))[..], doubles(real_wide));
    assert_eq!(
        environment(real(), None)[..],
        words([0x27F, 0x3123, TAGS, 0x4321, 5 << 12 | 0x7AB, 0x6543, 7 << 12])
    );
}

#[test]
fn an_environment_comes_back_in_each_layout() {
    let real = CpuState::real(CODE as u16);
    for (mut state, modrm) in [(real, 0x04), (protected(), 0x06)] {
        for prefix in [vec![], vec![0x66]] {
            state.general[6] = DATA;
            (state.fpu.control, state.fpu.status, state.fpu.tags) = (0x27F, 0x3123, 0);
            (state.fpu.instruction, state.fpu.operand) = (0x4321, 0x6543);
            let instruction = |opcode: u8, reg: u8| [prefix.as_slice(), &[opcode, modrm | reg << 3]].concat();
            // FNSAVE, FRSTOR; FNSTENV, FNINIT, FLDENV.
            let whole = [instruction(0xDD, 6), instruction(0xDD, 4)].concat();
            let part = [instruction(0xD9, 6), FNINIT.to_vec(), instruction(0xD9, 4)].concat();
            for (code, count) in [(whole, 2), (part, 3)] {
                let mut cpu = cpu(&state, &code);
                cpu.run(Until::Count(count)).expect("it runs");
                let found = cpu.state().expect("a state");
                assert_eq!(found.ip, CODE + code.len() as u64);
                assert_eq!((found.fpu.control, found.fpu.status, found.fpu.tags), (0x27F, 0x3123, 0));
                assert_eq!((found.fpu.instruction, found.fpu.operand), (0x4321, 0x6543));
            }
        }
    }
}

#[test]
fn approximations_are_as_near_as_the_manual_asks_for() {
    // RCPPS XMM0, XMM1 and RSQRTPS XMM0, XMM1: a relative error of 1.5 * 2^-12 at most.
    for (opcode, exact) in [(0x53, (|x| 1.0 / x) as fn(f64) -> f64), (0x52, |x: f64| 1.0 / x.sqrt())] {
        let result = |x: f32| {
            let mut state = protected();
            state.fpu.xmm[1][..4].copy_from_slice(&x.to_le_bytes());
            let mut cpu = cpu(&state, &[0x0F, opcode, 0xC1]);
            assert_eq!(exception(&mut cpu), None);
            let fpu = cpu.state().expect("a state").fpu;
            assert_eq!(fpu.mxcsr, 0x1F80, "no flag is set");
            f32::from_le_bytes(fpu.xmm[0][..4].try_into().expect("4 bytes"))
        };
        for step in 0..400_i16 {
            let x = 1.03_f32.powi(step.into()) * 1e-3;
            let (found, exact) = (f64::from(result(x)), exact(x.into()));
            assert!((found / exact - 1.0).abs() <= 1.5 / 4096.0, "{x}: {found}, not {exact}");
        }
        assert_eq!(result(f32::INFINITY), 0.0);
        assert_eq!(result(0.0), f32::INFINITY);
        assert_eq!(result(-0.0), f32::NEG_INFINITY);
        assert_eq!(result(1e-40), f32::INFINITY, "a denormal number counts as zero");
        assert!(result(f32::NAN).is_nan());
    }
}

#[test]
fn an_instruction_that_is_not_there_is_named_by_its_address() {
    // RDRAND.
    let mut cpu = cpu(&protected(), &[0x0F, 0xC7, 0xF0]);
    assert_eq!(cpu.run(Until::Exit).expect("it runs"), Exit::InternalError { suberror: 1 });
    assert_eq!(cpu.state().expect("a state").ip, CODE);
}
