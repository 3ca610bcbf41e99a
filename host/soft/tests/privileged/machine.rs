//! A CPU in protected mode with tables of descriptors, a task and a handler for each exception.

use guest_abi::mode::CpuMode;
use guestlab_cpu::{
    Cpu, CpuState, Exit, MemoryPlan, Rights, Segment, Until,
    state::{reg, seg},
};
use guestlab_soft::SoftCpu;

pub(crate) const GDT: u64 = 0x1000;
const IDT: u64 = 0x1800;
pub(crate) const TASK: u64 = 0x2800;
pub(crate) const OTHER: u64 = 0x2900;
const HANDLERS: u64 = 0x4000;
pub(crate) const CODE: u64 = 0x5000;
pub(crate) const TARGET: u64 = 0x5800;
pub(crate) const INNER: u64 = 0x6800;
pub(crate) const STACK: u64 = 0x7800;
pub(crate) const DATA: u64 = 0x9000;
const END: u64 = 0x1_0000;

/// Selectors. The last two bits of those of level 3 are set.
pub(crate) const CODE_0: u16 = 0x08;
pub(crate) const DATA_0: u16 = 0x10;
pub(crate) const CODE_3: u16 = 0x1B;
pub(crate) const DATA_3: u16 = 0x23;
pub(crate) const TASK_SELECTOR: u16 = 0x28;
pub(crate) const OTHER_SELECTOR: u16 = 0x30;
/// A descriptor that a test makes as it needs it.
pub(crate) const SPARE: u16 = 0x38;
pub(crate) const SECOND_SPARE: u16 = 0x40;

pub(crate) const FLAT_CODE_0: u64 = 0x00CF_9B00_0000_FFFF;
pub(crate) const FLAT_DATA_0: u64 = 0x00CF_9300_0000_FFFF;
pub(crate) const FLAT_CODE_3: u64 = 0x00CF_FB00_0000_FFFF;
pub(crate) const FLAT_DATA_3: u64 = 0x00CF_F300_0000_FFFF;
/// The bit of a descriptor that says that its segment is there.
pub(crate) const PRESENT: u64 = 1 << 47;
/// The privilege level 3 of a descriptor.
pub(crate) const LEVEL_3: u64 = 3 << 45;

/// The descriptor of a system segment of a type, present, of level 0.
pub(crate) fn system(kind: u64, base: u64, limit: u64) -> u64 {
    limit & 0xFFFF | (base & 0xFF_FFFF) << 16 | kind << 40 | PRESENT
}

/// A gate of a type, present, of level 0. The low bits of `count` are those of a call gate's parameters.
pub(crate) fn gate(kind: u64, selector: u16, offset: u64, count: u64) -> u64 {
    offset & 0xFFFF | u64::from(selector) << 16 | count << 32 | kind << 40 | PRESENT | (offset >> 16) << 48
}

/// The types of system descriptors.
pub(crate) const TASK_32: u64 = 9;
pub(crate) const CALL_GATE: u64 = 0xC;
pub(crate) const TASK_GATE: u64 = 5;
pub(crate) const INTERRUPT_GATE: u64 = 0xE;
pub(crate) const TRAP_GATE: u64 = 0xF;

/// The CPU and what is easier to say of it.
pub(crate) struct Machine(pub(crate) SoftCpu);

impl Machine {
    /// A CPU at a privilege level, 0 or 3, about to execute code.
    pub(crate) fn new(level: u8, code: &[u8]) -> Self {
        let mut state = CpuState::flat(CpuMode::Protected, CODE as u32, STACK as u32, 0);
        (state.gdt.base, state.gdt.limit) = (GDT, 0x47);
        (state.idt.base, state.idt.limit) = (IDT, 0x7FF);
        let task = system(TASK_32 | 2, TASK, 0x67);
        state.tr = Segment {
            selector: TASK_SELECTOR,
            base: TASK,
            limit: 0x67,
            rights: Rights::from_descriptor(task),
        };
        if level == 3 {
            let flat = |selector, descriptor| Segment {
                selector,
                base: 0,
                limit: u32::MAX,
                rights: Rights::from_descriptor(descriptor),
            };
            state.segments = [flat(DATA_3, FLAT_DATA_3); 6];
            state.segments[seg::CS] = flat(CODE_3, FLAT_CODE_3);
        } else {
            state.segments[seg::CS].selector = CODE_0;
            state.segments[seg::SS].selector = DATA_0;
        }
        let mut machine = Self(SoftCpu::new(&MemoryPlan::below(END), &state));
        for (selector, descriptor) in [
            (CODE_0, FLAT_CODE_0),
            (DATA_0, FLAT_DATA_0),
            (CODE_3, FLAT_CODE_3),
            (DATA_3, FLAT_DATA_3),
            (TASK_SELECTOR, task),
            (OTHER_SELECTOR, system(TASK_32, OTHER, 0x67)),
        ] {
            machine.describe(selector, descriptor);
        }
        for vector in 0..=255_u8 {
            machine.set_gate(vector, gate(INTERRUPT_GATE, CODE_0, HANDLERS + u64::from(vector), 0));
        }
        machine.put(HANDLERS, &[0xF4; 256]);
        machine.put(CODE, code);
        machine.put(TARGET, &[0xF4; 16]);
        // The stack of level 0, and a map of ports that is beyond the limit.
        for (at, word) in [(4, INNER as u32), (8, DATA_0.into()), (0x64, 0x68_0000)] {
            machine.put(TASK + at, &word.to_le_bytes());
        }
        machine
    }

    pub(crate) fn put(&mut self, address: u64, bytes: &[u8]) {
        self.0.memory_mut().write(address, bytes).unwrap();
    }

    pub(crate) fn word(&self, address: u64) -> u32 {
        let mut bytes = [0; 4];
        self.0.memory().read(address, &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }

    pub(crate) fn describe(&mut self, selector: u16, descriptor: u64) {
        self.put(GDT + u64::from(selector & !7), &descriptor.to_le_bytes());
    }

    pub(crate) fn set_gate(&mut self, vector: u8, gate: u64) {
        self.put(IDT + 8 * u64::from(vector), &gate.to_le_bytes());
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut CpuState)) -> &mut Self {
        let mut state = self.state();
        change(&mut state);
        self.0.set_state(&state).unwrap();
        self
    }

    pub(crate) fn state(&mut self) -> CpuState {
        self.0.state().unwrap()
    }

    /// Runs to the next exit, which must be a halt, and returns the instruction pointer of HLT.
    pub(crate) fn halt(&mut self) -> u64 {
        let exit = self.0.run(Until::Count(1000)).unwrap();
        assert!(matches!(exit, Exit::Halt { .. }), "{exit:?} in {:?}", self.0);
        self.state().ip - 1
    }

    /// Runs to a handler, and returns its vector.
    pub(crate) fn vector(&mut self) -> u64 {
        self.halt().wrapping_sub(HANDLERS)
    }

    /// Returns the first words on the stack.
    pub(crate) fn stack<const COUNT: usize>(&mut self) -> [u32; COUNT] {
        let top = self.state().general[reg::RSP];
        std::array::from_fn(|index| self.word(top + 4 * index as u64))
    }

    /// Runs to a handler, and returns its vector, the error code and the address of the instruction.
    pub(crate) fn fault(&mut self) -> (u64, u32, u32) {
        let vector = self.vector();
        let [code, ip] = self.stack();
        (vector, code, ip)
    }

    /// Returns the byte of a descriptor that has its type.
    pub(crate) fn kind(&self, selector: u16) -> u8 {
        (self.word(GDT + u64::from(selector & !7) + 4) >> 8) as u8
    }
}
