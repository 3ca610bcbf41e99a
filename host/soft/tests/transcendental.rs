//! Transcendental functions of x87 where there is one right answer: special values and exceptions by the tables of the
//! manual (Intel SDM volume 2A), and results with known bits. The test `hardware` has random operands.

#![allow(clippy::cast_possible_truncation, reason = "the parts of a number are cut out of its bits")]

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, Exit, FpuState, MemoryPlan, Until};
use guestlab_soft::SoftCpu;

/// Bits of the status word.
mod flag {
    pub(super) const I: u16 = 1 << 0;
    pub(super) const D: u16 = 1 << 1;
    pub(super) const Z: u16 = 1 << 2;
    pub(super) const U: u16 = 1 << 4;
    pub(super) const P: u16 = 1 << 5;
    pub(super) const SF: u16 = 1 << 6;
    pub(super) const C1: u16 = 1 << 9;
    pub(super) const C2: u16 = 1 << 10;
}
use flag::{C1, C2, D, I, P, SF, U, Z};

/// An 80-bit number: sign and exponent, and the significand.
type Number = (u16, u64);

const fn negative((head, significand): Number) -> Number {
    (head | 0x8000, significand)
}

const ZERO: Number = (0, 0);
const HALF: Number = (0x3FFE, 1 << 63);
const ONE: Number = (0x3FFF, 1 << 63);
const TWO: Number = (0x4000, 1 << 63);
const THREE: Number = (0x4000, 3 << 62);
const EIGHT: Number = (0x4002, 1 << 63);
const NINE: Number = (0x4002, 9 << 60);
const INFINITY: Number = (0x7FFF, 1 << 63);
const NAN: Number = (0x7FFF, 0xC000_0000_0000_1234);
const SIGNALING: Number = (0x7FFF, 0x8000_0000_0000_1234);
const INDEFINITE: Number = (0xFFFF, 3 << 62);
const DENORMAL: Number = (0, 1 << 62);
const PI: Number = (0x4000, 0xC90F_DAA2_2168_C235);
const HALF_PI: Number = (0x3FFF, PI.1);
const QUARTER_PI: Number = (0x3FFE, PI.1);
/// Three quarters of pi.
const THREE_QUARTERS_PI: Number = (0x4000, 0x96CB_E3F9_990E_91A8);
const TWO_TO_63: Number = (0x403E, 1 << 63);
const LARGEST: Number = (0x7FFE, u64::MAX);

const F2XM1: u8 = 0xF0;
const FYL2X: u8 = 0xF1;
const FPTAN: u8 = 0xF2;
const FPATAN: u8 = 0xF3;
const FYL2XP1: u8 = 0xF9;
const FSINCOS: u8 = 0xFB;
const FSIN: u8 = 0xFE;
const FCOS: u8 = 0xFF;

/// Carries out an instruction with numbers on the stack, ST0 first. Returns the state of x87.
fn run(opcode: u8, control: u16, stack: &[Number]) -> FpuState {
    let mut state = CpuState::flat(CpuMode::Protected, 0x1000, 0x3000, 0);
    state.fpu.control = control;
    state.fpu.tags = 0;
    for (index, (head, significand)) in stack.iter().enumerate() {
        state.fpu.st[index][..8].copy_from_slice(&significand.to_le_bytes());
        state.fpu.st[index][8..10].copy_from_slice(&head.to_le_bytes());
        state.fpu.tags |= 1 << index;
    }
    let mut cpu = SoftCpu::new(&MemoryPlan::below(0x4000), &state);
    cpu.memory_mut().write(0x1000, &[0xD9, opcode]).expect("memory");
    assert_eq!(cpu.run(Until::Count(1)).expect("it runs"), Exit::Debug { points: 0 });
    cpu.state().expect("a state").fpu
}

fn st(fpu: &FpuState, index: usize) -> Number {
    let bits = u128::from_le_bytes(fpu.st[index]);
    ((bits >> 64) as u16, bits as u64)
}

/// All exceptions are masked, and results are rounded to nearest.
const MASKED: u16 = 0x37F;

/// Returns ST0, and the flags of the status word.
fn outcome(opcode: u8, stack: &[Number]) -> (Number, u16) {
    let fpu = run(opcode, MASKED, stack);
    (st(&fpu, 0), fpu.status & (0x7F | C2))
}

#[test]
fn functions_of_an_angle() {
    let sine_of_1 = (0x3FFE, 0xD76A_A478_4867_7021);
    for (opcode, angle, expected) in [
        (FSIN, ZERO, (ZERO, 0)),
        (FSIN, negative(ZERO), (negative(ZERO), 0)),
        (FSIN, ONE, (sine_of_1, P)),
        (FSIN, negative(ONE), (negative(sine_of_1), P)),
        (FSIN, DENORMAL, (DENORMAL, D | U | P)),
        (FSIN, INFINITY, (INDEFINITE, I)),
        (FSIN, NAN, (NAN, 0)),
        (FSIN, SIGNALING, (NAN, I)),
        (FSIN, TWO_TO_63, (TWO_TO_63, C2)),
        (FSIN, negative(LARGEST), (negative(LARGEST), C2)),
        // Pi has 66 bits here, and is 2^-64 below the nearest number of 64 bits.
        (FSIN, PI, (negative((0x3FBF, 1 << 63)), P)),
        (FCOS, ZERO, (ONE, 0)),
        (FCOS, negative(ZERO), (ONE, 0)),
        (FCOS, DENORMAL, (ONE, D | P)),
        (FCOS, PI, (negative(ONE), P)),
        (FCOS, negative(INFINITY), (INDEFINITE, I)),
        (FCOS, TWO_TO_63, (TWO_TO_63, C2)),
    ] {
        assert_eq!(outcome(opcode, &[angle]), expected, "{opcode:#x} of {angle:x?}");
    }
}

#[test]
fn two_results_are_pushed_unless_the_angle_is_too_large() {
    for (opcode, angle, results, status) in [
        (FSINCOS, negative(ZERO), [ONE, negative(ZERO)], 0),
        (FSINCOS, INFINITY, [INDEFINITE; 2], I),
        (FSINCOS, NAN, [NAN; 2], 0),
        (FSINCOS, DENORMAL, [ONE, DENORMAL], D | U | P),
        (FPTAN, negative(ZERO), [ONE, negative(ZERO)], 0),
        (FPTAN, ONE, [ONE, (0x3FFF, 0xC759_22E5_F71D_2DC5)], P),
        (FPTAN, negative(INFINITY), [INDEFINITE; 2], I),
        (FPTAN, NAN, [NAN; 2], 0),
    ] {
        let fpu = run(opcode, MASKED, &[angle]);
        assert_eq!([st(&fpu, 0), st(&fpu, 1)], results, "{opcode:#x} of {angle:x?}");
        assert_eq!((fpu.status & (0x7F | C2), fpu.tags), (status, 0x81), "{opcode:#x} of {angle:x?}");
    }
    for opcode in [FSINCOS, FPTAN] {
        let fpu = run(opcode, MASKED, &[TWO_TO_63]);
        assert_eq!((st(&fpu, 0), fpu.status, fpu.tags), (TWO_TO_63, C2, 1));
    }
}

#[test]
fn the_arctangent_has_four_quadrants() {
    // By the table: the columns are the values of y, the rows those of x.
    let values = [negative(INFINITY), negative(ONE), negative(ZERO), ZERO, ONE, INFINITY];
    let right = [HALF_PI, QUARTER_PI, ZERO, ZERO, QUARTER_PI, HALF_PI];
    let left = [HALF_PI, THREE_QUARTERS_PI, PI, PI, THREE_QUARTERS_PI, HALF_PI];
    let far_right = [QUARTER_PI, ZERO, ZERO, ZERO, ZERO, QUARTER_PI];
    let far_left = [THREE_QUARTERS_PI, PI, PI, PI, PI, THREE_QUARTERS_PI];
    let above = |zero: Number| [HALF_PI, HALF_PI, zero, zero, HALF_PI, HALF_PI];
    for (x, angles) in [
        (negative(INFINITY), far_left),
        (negative(ONE), left),
        (negative(ZERO), above(PI)),
        (ZERO, above(ZERO)),
        (ONE, right),
        (INFINITY, far_right),
    ] {
        for (y, angle) in values.into_iter().zip(angles) {
            let angle = if y.0 & 0x8000 != 0 { negative(angle) } else { angle };
            let status = if angle.1 == 0 { 0 } else { P };
            assert_eq!(outcome(FPATAN, &[x, y]), (angle, status), "y {y:x?}, x {x:x?}");
        }
    }
    assert_eq!(outcome(FPATAN, &[LARGEST, DENORMAL]), (ZERO, D | U | P));
    assert_eq!(outcome(FPATAN, &[ONE, NAN]), (NAN, 0));
    assert_eq!(outcome(FPATAN, &[SIGNALING, ONE]), (NAN, I));
}

#[test]
fn powers_of_two() {
    for (x, expected) in [
        (ZERO, (ZERO, 0)),
        (negative(ZERO), (negative(ZERO), 0)),
        (ONE, (ONE, P)),
        (negative(ONE), (negative(HALF), P)),
        (HALF, ((0x3FFD, 0xD413_CCCF_E779_9211), P)),
        (INFINITY, (INFINITY, 0)),
        (negative(INFINITY), (negative(ONE), 0)),
        (NAN, (NAN, 0)),
        (SIGNALING, (NAN, I)),
        // The natural logarithm of 2 times the number.
        (DENORMAL, ((0, 0x2C5C_85FD_F473_DE6B), D | U | P)),
    ] {
        assert_eq!(outcome(F2XM1, &[x]), expected, "{x:x?}");
    }
}

#[test]
fn logarithms_by_the_tables() {
    for (opcode, x, y, expected) in [
        (FYL2X, EIGHT, THREE, (NINE, P)),
        (FYL2X, HALF, THREE, (negative(THREE), P)),
        (FYL2X, ONE, negative(THREE), (negative(ZERO), 0)),
        (FYL2X, HALF, ZERO, (negative(ZERO), 0)),
        (FYL2X, TWO, negative(INFINITY), (negative(INFINITY), 0)),
        (FYL2X, ONE, INFINITY, (INDEFINITE, I)),
        (FYL2X, ZERO, ONE, (negative(INFINITY), Z)),
        (FYL2X, negative(ZERO), negative(ONE), (INFINITY, Z)),
        (FYL2X, ZERO, INFINITY, (negative(INFINITY), 0)),
        (FYL2X, ZERO, ZERO, (INDEFINITE, I)),
        (FYL2X, INFINITY, negative(ONE), (negative(INFINITY), 0)),
        (FYL2X, INFINITY, ZERO, (INDEFINITE, I)),
        (FYL2X, negative(ONE), ONE, (INDEFINITE, I)),
        (FYL2X, negative(INFINITY), ONE, (INDEFINITE, I)),
        (FYL2X, negative(ONE), NAN, (NAN, 0)),
        (FYL2X, TWO, DENORMAL, (DENORMAL, D | U | P)),
        (FYL2X, ONE, DENORMAL, (ZERO, D)),
        (FYL2XP1, ZERO, ONE, (ZERO, 0)),
        (FYL2XP1, negative(ZERO), ONE, (negative(ZERO), 0)),
        (FYL2XP1, ZERO, negative(ONE), (negative(ZERO), 0)),
        (FYL2XP1, ZERO, INFINITY, (INDEFINITE, I)),
        (FYL2XP1, INFINITY, ZERO, (INDEFINITE, I)),
        (FYL2XP1, INFINITY, negative(ONE), (negative(INFINITY), 0)),
        (FYL2XP1, negative(INFINITY), ONE, (INDEFINITE, I)),
        // The binary logarithm of 5/4, and 1 / ln(2) times the smallest sum.
        (FYL2XP1, (0x3FFD, 1 << 63), ONE, ((0x3FFD, 0xA4D3_C25E_68DC_57F2), P)),
        (FYL2XP1, (0x3F00, 1 << 63), ONE, ((0x3F00, 0xB8AA_3B29_5C17_F0BC), P)),
    ] {
        let fpu = run(opcode, MASKED, &[x, y]);
        let found = (st(&fpu, 0), fpu.status & (0x7F | C2));
        assert_eq!((found, fpu.tags), (expected, 2), "{opcode:#x} of x {x:x?}, y {y:x?}");
    }
}

#[test]
fn rounding_has_a_direction() {
    // Sine of 1, arctangent of 1, and a tiny angle, whose sine is just below it: down, up, towards zero.
    let tiny = (0x3F00, 1 << 63);
    let below_tiny = (0x3EFF, u64::MAX);
    for (opcode, stack, down, up) in [
        (FSIN, vec![ONE], (0x3FFE, 0xD76A_A478_4867_7020), (0x3FFE, 0xD76A_A478_4867_7021)),
        (FPATAN, vec![ONE, ONE], (0x3FFE, 0xC90F_DAA2_2168_C234), QUARTER_PI),
        (FSIN, vec![tiny], below_tiny, tiny),
        (FCOS, vec![tiny], (0x3FFE, u64::MAX), ONE),
    ] {
        for (rounding, expected, c1) in [(0x400, down, 0), (0x800, up, C1), (0xC00, down, 0)] {
            let fpu = run(opcode, MASKED | rounding, &stack);
            assert_eq!((st(&fpu, 0), fpu.status & C1), (expected, c1), "{opcode:#x} {rounding:#x}");
        }
    }
    // The tangent of a tiny angle is just above it.
    let fpu = run(FPTAN, MASKED | 0x800, &[tiny]);
    assert_eq!((st(&fpu, 1), fpu.status & C1), ((0x3F00, 1 << 63 | 1), C1));
    // An exact result stays, whatever the direction.
    assert_eq!(st(&run(FYL2X, MASKED | 0x800, &[EIGHT, THREE]), 0), NINE);
}

#[test]
fn a_register_that_is_empty_or_not_is_a_stack_fault() {
    for opcode in [FSIN, FCOS, F2XM1, FYL2X, FYL2XP1, FPATAN] {
        let fpu = run(opcode, MASKED, &[]);
        assert_eq!((st(&fpu, 0), fpu.status & (0x7F | C1)), (INDEFINITE, I | SF), "{opcode:#x}");
    }
    for opcode in [FSINCOS, FPTAN] {
        let fpu = run(opcode, MASKED, &[]);
        assert_eq!([st(&fpu, 0), st(&fpu, 1)], [INDEFINITE; 2], "{opcode:#x}");
        assert_eq!((fpu.status & (0x7F | C1), fpu.tags), (I | SF, 0x81), "{opcode:#x}");
        let fpu = run(opcode, MASKED, &[ONE; 8]);
        assert_eq!([st(&fpu, 0), st(&fpu, 1)], [INDEFINITE; 2], "{opcode:#x}");
        assert_eq!(fpu.status & (0x7F | C1), I | SF | C1, "{opcode:#x}");
    }
}

#[test]
fn an_exception_that_is_not_masked_leaves_the_operands() {
    for (opcode, mask, stack) in [
        (FSIN, I, vec![INFINITY]),
        (FSINCOS, D, vec![DENORMAL]),
        (FPTAN, I, vec![]),
        (FYL2X, Z, vec![ZERO, ONE]),
        (FPATAN, I, vec![SIGNALING, ONE]),
        (FYL2XP1, I, vec![INFINITY, ZERO]),
        (F2XM1, D, vec![DENORMAL]),
    ] {
        let fpu = run(opcode, MASKED & !mask, &stack);
        assert_eq!(fpu.status & !SF, 0x8080 | mask, "{opcode:#x}: the exception is pending");
        assert_eq!(usize::from(fpu.tags), (1 << stack.len()) - 1, "{opcode:#x}");
        for (index, number) in stack.iter().enumerate() {
            assert_eq!(st(&fpu, index), *number, "{opcode:#x}");
        }
    }
    // Underflow has a result, which is wrapped.
    let fpu = run(F2XM1, MASKED & !U, &[DENORMAL]);
    assert_eq!((st(&fpu, 0), fpu.status & 0x7F), ((0x5FFF, 0xB172_17F7_D1CF_79AC), D | U | P));
}
