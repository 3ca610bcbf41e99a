//! Whatever bytes and whatever state: no panic, and N instructions at once are N instructions one by one.

#![allow(clippy::cast_possible_truncation, reason = "random numbers are cut to size on purpose")]

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, Exit, MemoryPlan, Rights, Segment, Until};
use guestlab_soft::SoftCpu;

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Returns a number that is often small, or near a power of two.
    fn number(&mut self) -> u64 {
        let power = 1_u64 << self.below(64);
        match self.below(4) {
            0 => self.below(0x1_0000),
            1 => power.wrapping_add(self.below(3)).wrapping_sub(1),
            2 => self.next() & 0xFFFF_FFFF,
            _ => self.next(),
        }
    }
}

const MEMORY: u64 = 0x2_0000;

fn state(random: &mut Random) -> CpuState {
    let mode = CpuMode::ALL[random.below(4) as usize];
    let entry = random.below(MEMORY) as u32;
    let mut state = CpuState::flat(mode, entry, random.below(MEMORY) as u32, 0x1000);
    for register in &mut state.general {
        *register = if random.below(2) == 0 { random.below(MEMORY) } else { random.number() };
    }
    if mode != CpuMode::Long {
        for register in &mut state.general {
            *register &= 0xFFFF_FFFF;
        }
    }
    state.flags = random.next() & 0xCD5 | 2;
    if random.below(4) == 0 {
        state.flags = random.next() & 0x3F_7FD5 & !(1 << 17) | 2;
    }
    // OSFXSR and OSXMMEXCPT, so that there is SSE, with exceptions of all kinds.
    state.cr4 |= random.next() & 0x600;
    state.fpu.mxcsr = random.next() as u32 & 0xFFFF;
    (state.fpu.control, state.fpu.tags) = (random.next() as u16 & 0x1F3F | 0x40, random.next() as u8);
    for register in &mut state.fpu.st {
        register[..8].copy_from_slice(&random.next().to_le_bytes());
        register[8..10].copy_from_slice(&(random.next() as u16).to_le_bytes());
    }
    for half in state.fpu.xmm.as_flattened_mut().chunks_mut(8) {
        half.copy_from_slice(&random.number().to_le_bytes());
    }
    state.idt.limit = 0xFFF;
    state.idt.base = random.below(MEMORY);
    state.gdt.base = random.below(MEMORY);
    if random.below(8) == 0 {
        for segment in &mut state.segments {
            *segment = Segment {
                selector: random.next() as u16,
                base: random.number() & 0xFFFF_FFFF,
                limit: random.next() as u32,
                rights: Rights(random.next() as u32 & 0x1_F0FF),
            };
        }
    }
    state.tr.base = random.below(MEMORY);
    state
}

/// A CPU in a random state, with random code, and page tables that map its memory.
fn cpu(random: &mut Random, interesting: &[u8]) -> SoftCpu {
    let state = state(random);
    let mut cpu = SoftCpu::new(&MemoryPlan { ranges: vec![0..MEMORY, 0x4_0000..0x4_2000] }, &state);
    let mut bytes = vec![0; MEMORY as usize];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&random.next().to_le_bytes());
    }
    let start = state.segments[1].base.wrapping_add(state.ip) as usize % bytes.len();
    for (at, byte) in bytes.iter_mut().skip(start).take(64).enumerate() {
        if at % 3 == 0 && random.below(2) == 0 {
            *byte = interesting[random.below(interesting.len() as u64) as usize];
        }
    }
    // Page tables of both kinds at 0x1000: the first entry of each level leads on.
    for (address, value) in [(0x1000, 0x2007_u64), (0x2000, 0x3007), (0x3000, 0x87)] {
        bytes[address..address + 8].copy_from_slice(&value.to_le_bytes());
    }
    if state.mode() == CpuMode::Paged {
        bytes[0x1000..0x1004].copy_from_slice(&0x87_u32.to_le_bytes());
    }
    cpu.memory_mut().write(0, &bytes).expect("memory");
    cpu
}

/// Opcodes that are rare among random bytes.
const INTERESTING: [u8; 40] = [
    0x0F, 0xF3, 0xF2, 0x66, 0x67, 0xCD, 0xCF, 0x9A, 0xEA, 0xCB, 0xC8, 0x8E, 0x9D, 0xFA, 0xFB, 0xA4, 0xA5,
    0xAA, 0xF7, 0x20, 0x22, 0x01, 0x48, 0x49, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0x0F, 0x0F,
    0x0F, 0x58, 0x6F, 0x38, 0x3A, 0xAE,
];

fn drive(cpu: &mut SoftCpu, until: Until, answer: u32) -> Exit {
    let exit = cpu.run(until).expect("an interpreter has no errors");
    if matches!(exit, Exit::In { .. } | Exit::Mmio { .. }) {
        cpu.answer(answer);
    }
    exit
}

/// Returns the number of rounds: that of the environment, or one that a test has time for, in a debug build or a release.
fn rounds(debug: u64, release: u64) -> u64 {
    let given = std::env::var("GUESTLAB_RANDOM").ok().map(|rounds| rounds.parse().expect("a number"));
    given.unwrap_or(if cfg!(debug_assertions) { debug } else { release })
}

#[test]
fn no_bytes_and_no_state_make_it_panic() {
    let rounds = rounds(3_000, 100_000);
    for seed in 0..rounds {
        let mut random = Random(seed);
        let mut cpu = cpu(&mut random, &INTERESTING);
        for _ in 0..30 {
            let exit = drive(&mut cpu, Until::Count(50), seed as u32);
            let _ = cpu.state().expect("a state");
            if matches!(exit, Exit::Shutdown | Exit::InternalError { .. }) {
                break;
            }
        }
    }
}

#[test]
fn instructions_at_once_are_instructions_one_by_one() {
    let rounds = rounds(1_000, 20_000);
    for seed in 0..rounds {
        let (mut at_once, mut single) =
            (cpu(&mut Random(seed), &INTERESTING), cpu(&mut Random(seed), &INTERESTING));
        let exit = at_once.run(Until::Count(40)).expect("no error");
        // A step is also one repetition of a string instruction, so the count decides.
        let goal = at_once.instructions().expect("it counts");
        let mut last = Exit::Debug { points: 0 };
        for _ in 0..200_000 {
            if single.instructions().expect("it counts") >= goal && last == exit {
                break;
            }
            last = single.run(Until::Step).expect("no error");
            if !matches!(last, Exit::Debug { .. }) {
                break;
            }
        }
        assert_eq!(last, exit, "seed {seed}");
        assert_eq!(single.instructions(), at_once.instructions(), "seed {seed}");
        // The state completes the last exit's instruction on both.
        assert_eq!(single.state().expect("a state"), at_once.state().expect("a state"), "seed {seed}");
    }
}

#[test]
fn a_single_step_between_two_repetitions_does_not_repeat_its_handler() {
    // `rep stosb` with TF; the handler of #DB: `inc ax`, `nop`.
    let mut state = CpuState::real(0x600);
    (state.flags, state.general[1], state.general[4], state.general[7]) = (0x102, 3, 0xF00, 0x900);
    let mut cpu = SoftCpu::new(&MemoryPlan::below(0x1000), &state);
    for (address, bytes) in [(0x600, [0xF3, 0xAA]), (4, [0, 7]), (0x700, [0x40, 0x90])] {
        cpu.memory_mut().write(address, &bytes).expect("memory");
    }
    cpu.run(Until::Count(1)).expect("no error");
    assert_eq!(cpu.state().expect("a state").ip, 0x700);
    cpu.run(Until::Count(1)).expect("no error");
    let state = cpu.state().expect("a state");
    assert_eq!((state.ip, state.general[0]), (0x701, 1));
}
