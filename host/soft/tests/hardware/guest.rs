//! The interpreter, in the same state and at the same addresses.

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, Exit, FpuState, MemoryPlan, Rights, Segment, Until, state::seg};
use guestlab_soft::SoftCpu;

use crate::native::{Frame, NO_TRAP, PAGE};

/// Guest-physical places.
const TABLES: u64 = 0x1000;
const IDT: u64 = 0x8000;
const GDT: u64 = 0x9000;
const TSS: u64 = 0xA000;
const STACK: u64 = 0xC000;
const HANDLERS: u64 = 0x1_0000;
const CODE: u64 = 0x2_0000;
const DATA: u64 = 0x2_1000;

/// A CPU in 64-bit code at level 3, whose code and data have the addresses that the machine's own have.
pub struct Guest {
    cpu: SoftCpu,
    state: CpuState,
}

/// The bits of page-table entries: present, writable, user.
const ALL: u64 = 7;

impl Guest {
    pub fn new(code: u64) -> Self {
        let mut state = CpuState::flat(CpuMode::Long, 0, 0, TABLES as u32);
        state.ip = code;
        // MP, NE, AM; OSFXSR, OSXMMEXCPT.
        state.cr0 |= 1 << 1 | 1 << 5 | 1 << 18;
        state.cr4 |= 1 << 9 | 1 << 10;
        for segment in &mut state.segments {
            segment.selector |= 3;
            segment.rights = Rights(segment.rights.0 | 3 << 5);
        }
        (state.idt.base, state.idt.limit) = (IDT, 0xFFF);
        (state.gdt.base, state.gdt.limit) = (GDT, 0xFF);
        state.tr = Segment { base: TSS, limit: 0x67, ..state.tr };
        let mut cpu = SoftCpu::new(&MemoryPlan::below(0x3_0000), &state);
        let mut put = |address: u64, value: u64| {
            cpu.memory_mut().write(address, &value.to_le_bytes()).expect("memory");
        };
        // Low addresses are as they are. The code's are in tables of their own.
        let index = |level: u64| 8 * (code >> (12 + 9 * level) & 0x1FF);
        assert_ne!(index(3), 0, "the pages are far from address 0");
        assert!(index(0) < 8 * 510, "the pages are in one table");
        put(TABLES, 0x2000 | ALL);
        put(0x2000, 0x3000 | ALL);
        put(0x3000, 0x80 | ALL);
        put(TABLES + index(3), 0x4000 | ALL);
        put(0x4000 + index(2), 0x5000 | ALL);
        put(0x5000 + index(1), 0x6000 | ALL);
        put(0x6000 + index(0), CODE | ALL);
        put(0x6000 + index(0) + 8, DATA | ALL);
        put(GDT + 8, 0x00AF_9B00_0000_FFFF);
        put(TSS + 4, STACK);
        for vector in 0..32 {
            let handler = HANDLERS + 16 * vector;
            // An interrupt gate of 64 bits.
            put(IDT + 16 * vector, handler & 0xFFFF | 8 << 16 | 0x8E00 << 32 | handler >> 16 << 48);
            put(IDT + 16 * vector + 8, 0);
        }
        Self { cpu, state }
    }

    /// Carries out an instruction.
    pub fn run(&mut self, instruction: &[u8], frame: &mut Frame, data: &mut [u8; PAGE]) {
        let memory = self.cpu.memory_mut();
        memory.write(CODE, instruction).expect("memory");
        memory.write(DATA, data).expect("memory");
        let mut state = self.state.clone();
        state.general = frame.general;
        state.flags = frame.flags & 0xFFFF_FFFF;
        state.fpu = load(&frame.fx);
        self.cpu.set_state(&state).expect("a state");
        let exit = self.cpu.run(Until::Count(1)).expect("no error");
        let state = self.cpu.state().expect("a state");
        frame.trap = match exit {
            Exit::Debug { .. } if state.segments[seg::CS].selector == 8 => {
                ((state.ip - HANDLERS) / 16) as i64
            }
            Exit::Debug { .. } => NO_TRAP,
            _ => 100,
        };
        frame.general = state.general;
        frame.flags = state.flags;
        store(&state.fpu, &mut frame.fx);
        self.cpu.memory().read(DATA, data).expect("memory");
    }
}

fn load(fx: &[u8; 512]) -> FpuState {
    let word = |at: usize| u16::from_le_bytes([fx[at], fx[at + 1]]);
    let register = |at: usize| fx[at..at + 16].try_into().expect("16 bytes");
    let mut fpu = FpuState::reset();
    (fpu.control, fpu.status, fpu.tags) = (word(0), word(2), fx[4]);
    fpu.mxcsr = u32::from(word(24));
    let address = |at: usize| u64::from_le_bytes(fx[at..at + 8].try_into().expect("8 bytes"));
    (fpu.opcode, fpu.instruction, fpu.operand) = (word(6), address(8), address(16));
    for (index, place) in fpu.st.iter_mut().enumerate() {
        *place = register(32 + 16 * index);
        place[10..].fill(0);
    }
    for (index, place) in fpu.xmm.iter_mut().enumerate() {
        *place = register(160 + 16 * index);
    }
    fpu
}

fn store(fpu: &FpuState, fx: &mut [u8; 512]) {
    fx[0..2].copy_from_slice(&fpu.control.to_le_bytes());
    fx[2..4].copy_from_slice(&fpu.status.to_le_bytes());
    fx[4] = fpu.tags;
    fx[6..8].copy_from_slice(&fpu.opcode.to_le_bytes());
    fx[8..16].copy_from_slice(&fpu.instruction.to_le_bytes());
    fx[16..24].copy_from_slice(&fpu.operand.to_le_bytes());
    fx[24..28].copy_from_slice(&fpu.mxcsr.to_le_bytes());
    for (index, register) in fpu.st.iter().enumerate() {
        fx[32 + 16 * index..][..16].copy_from_slice(register);
    }
    for (index, register) in fpu.xmm.iter().enumerate() {
        fx[160 + 16 * index..][..16].copy_from_slice(register);
    }
}
