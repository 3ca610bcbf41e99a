//! Page faults, and the bits of tables (Intel SDM volume 3A, chapter 4).

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, Exit, MemoryPlan, Rights, Until, state::seg};
use guestlab_soft::SoftCpu;

const CODE: u64 = 0x1000;
const TABLES: u64 = 0x4000;
const IDT: u64 = 0xA000;
const GDT: u64 = 0x9000;
const HANDLER: u64 = 0x2000;
/// The page that the tests are about, in the second range of 2 MiB.
const PAGE: u64 = 0x20_0000;

pub(crate) const P: u64 = 1;
pub(crate) const W: u64 = 2;
pub(crate) const U: u64 = 4;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
pub(crate) const NX: u64 = 1 << 63;

const WP: u64 = 1 << 16;
const SMEP: u64 = 1 << 20;
const SMAP: u64 = 1 << 21;

/// `mov al, [rdi]`, `mov [rdi], al` and `jmp rdi`.
const READ: [u8; 3] = [0x8A, 0x07, 0xF4];
const WRITE: [u8; 3] = [0x88, 0x07, 0xF4];
const FETCH: [u8; 3] = [0xFF, 0xE7, 0xF4];

/// A CPU in long mode at a privilege level, whose tables map the first 2 MiB, and `PAGE` by these entries of each level.
struct Machine(SoftCpu);

impl Machine {
    fn new(level: u8, code: &[u8], entries: [u64; 4], change: impl FnOnce(&mut CpuState)) -> Self {
        let mut state = CpuState::flat(CpuMode::Long, CODE as u32, 0x3000, TABLES as u32);
        (state.idt.base, state.idt.limit) = (IDT, 0xFFF);
        (state.gdt.base, state.gdt.limit, state.tr.base, state.tr.limit) = (GDT, 0x1F, 0xB000, 0x67);
        state.efer |= 1 << 11;
        state.general[7] = PAGE;
        if level == 3 {
            for index in [seg::CS, seg::SS] {
                state.segments[index].rights = Rights(state.segments[index].rights.0 | 0x60);
                state.segments[index].selector |= 3;
            }
        }
        change(&mut state);
        let mut cpu = SoftCpu::new(&MemoryPlan::below(0x20_1000), &state);
        let [top, directories, directory, table] = entries;
        let gate = HANDLER | 8 << 16 | 0x8E00 << 32;
        for (address, value) in [
            (TABLES, (TABLES + 0x1000) | top),
            (TABLES + 0x1000, (TABLES + 0x2000) | directories),
            // The first 2 MiB are for both levels, or SMAP and SMEP would forbid them.
            (TABLES + 0x2000, 0x80 | P | W | (if level == 3 { U } else { 0 })),
            (TABLES + 0x2008, (TABLES + 0x3000) | directory),
            (TABLES + 0x3000, PAGE | table),
            (GDT + 8, 0x0020_9B00_0000_0000),
            (IDT + 13 * 16, gate + 16),
            (IDT + 14 * 16, gate),
            (0xB004, 0x3800),
        ] {
            cpu.memory_mut().write(address, &value.to_le_bytes()).unwrap();
        }
        for (address, code) in [(CODE, code), (HANDLER, &[0xF4; 32]), (PAGE, &[0xF4; 4])] {
            cpu.memory_mut().write(address, code).unwrap();
        }
        Self(cpu)
    }

    /// Returns the error code of the page fault, or `None` if there was none.
    fn error(&mut self) -> Option<u64> {
        assert!(matches!(self.0.run(Until::Count(20)).unwrap(), Exit::Halt { .. }), "{:?}", self.0);
        let state = self.0.state().unwrap();
        if state.ip != HANDLER + 1 {
            // Past the code, or #GP of HLT at level 3.
            return None;
        }
        assert_eq!(state.cr2, PAGE);
        Some(self.word(state.general[4]))
    }

    fn word(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.memory().read(address, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }
}

const ALL: u64 = P | W | U;

/// Returns the error code of an access with the last entry so, and all others open.
fn error(level: u8, code: &[u8], table: u64, change: impl FnOnce(&mut CpuState)) -> Option<u64> {
    Machine::new(level, code, [ALL, ALL, ALL, table], change).error()
}

#[test]
fn an_error_code_says_what_was_tried() {
    let none = |_: &mut CpuState| {};
    for (level, user) in [(0, 0), (3, U)] {
        assert_eq!(error(level, &READ, 0, none), Some(user));
        assert_eq!(error(level, &WRITE, 0, none), Some(user | W));
        assert_eq!(error(level, &FETCH, 0, none), Some(user | 0x10));
        assert_eq!(error(level, &READ, ALL, none), None);
        assert_eq!(error(level, &WRITE, ALL, none), None);
        assert_eq!(error(level, &FETCH, ALL | NX, none), Some(user | P | 0x10));
        // Bit 40 is beyond the addresses that CPUID reports.
        assert_eq!(error(level, &READ, ALL | 1 << 40, none), Some(user | P | 8));
        assert_eq!(error(level, &READ, ALL | 1 << 51, none), Some(user | P | 8));
        // Without EFER.NXE the bit is reserved, and a fetch is not said to be one.
        let off = |state: &mut CpuState| state.efer &= !(1 << 11);
        assert_eq!(error(level, &READ, ALL | NX, off), Some(user | P | 8));
        assert_eq!(error(level, &FETCH, 0, off), Some(user));
    }
    assert_eq!(error(3, &READ, P | W, none), Some(P | U));
    assert_eq!(error(3, &WRITE, P | U, none), Some(P | W | U));
}

#[test]
fn the_supervisor_is_held_off_where_it_asks_for_it() {
    let set = |cr0: u64, cr4: u64| {
        move |state: &mut CpuState| {
            state.cr0 = state.cr0 & !WP | cr0;
            state.cr4 |= cr4;
        }
    };
    assert_eq!(error(0, &WRITE, P, set(0, 0)), None);
    assert_eq!(error(0, &WRITE, P, set(WP, 0)), Some(P | W));
    assert_eq!(error(0, &FETCH, ALL, set(0, SMEP)), Some(P | 0x10));
    assert_eq!(error(0, &FETCH, P | W, set(0, SMEP)), None);
    assert_eq!(error(0, &READ, ALL, set(0, SMAP)), Some(P));
    // `stac`, the read, `clac`, the read.
    let code = [0x0F, 0x01, 0xCB, 0x8A, 0x07, 0x0F, 0x01, 0xCA, 0x8A, 0x07];
    let mut machine = Machine::new(0, &code, [ALL; 4], set(0, SMAP));
    assert_eq!(machine.error(), Some(P));
    let top = machine.0.state().unwrap().general[4];
    assert_eq!(machine.word(top + 8), CODE + 8);
}

#[test]
fn every_level_can_forbid() {
    for level in 0..4 {
        for (bits, code, expected) in [
            (P | W, READ, P | U),
            (P | U, WRITE, P | W | U),
            (ALL | NX, FETCH, P | U | 0x10),
            (ALL | 1 << 45, READ, P | U | 8),
            (0, READ, U),
        ] {
            // The code needs the upper two levels itself, for all but writes.
            if level < 2 && bits != P | U {
                continue;
            }
            let mut entries = [ALL; 4];
            entries[level] = bits;
            let mut machine = Machine::new(3, &code, entries, |_| {});
            assert_eq!(machine.error(), Some(expected), "level {level}, {bits:#x}");
        }
    }
}

#[test]
fn each_level_is_marked_accessed_and_the_page_dirty() {
    for (code, dirty) in [(READ, 0), (WRITE, DIRTY)] {
        let mut machine = Machine::new(0, &code, [ALL; 4], |_| {});
        assert_eq!(machine.error(), None);
        for (entry, bits) in
            [(TABLES, 0), (TABLES + 0x1000, 0), (TABLES + 0x2008, 0), (TABLES + 0x3000, dirty)]
        {
            assert_eq!(machine.word(entry) & (ACCESSED | DIRTY), ACCESSED | bits, "{entry:#x}");
        }
    }
    // A read, and then a write.
    let mut machine = Machine::new(0, &[&READ[..2], &WRITE].concat(), [ALL; 4], |_| {});
    assert_eq!(machine.error(), None);
    assert_eq!(machine.word(TABLES + 0x3000) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
    // One that faults leaves the page as it was.
    let mut machine = Machine::new(3, &WRITE, [ALL, ALL, ALL, P | U], |_| {});
    assert!(machine.error().is_some());
    assert_eq!(machine.word(TABLES + 0x3000) & (ACCESSED | DIRTY), 0);
}

#[test]
fn enter_faults_where_its_new_top_cannot_be_written() {
    // `enter 8, 0` with room for the one push: the top is in the page before, which is not there.
    let mut machine =
        Machine::new(0, &[0xC8, 8, 0, 0], [ALL; 4], |state| state.general[4] = PAGE + 0x1000 + 8);
    // The page behind `PAGE` is there, and `PAGE` is not.
    for (at, value) in [(0, 0), (8, PAGE | ALL)] {
        machine.0.memory_mut().write(TABLES + 0x3000 + at, &u64::to_le_bytes(value)).unwrap();
    }
    // The frame of #PF is pushed on the same stack: a double fault, and there is no gate for that.
    assert_eq!(machine.0.run(Until::Count(1)).unwrap(), Exit::Shutdown);
    assert_eq!(machine.0.state().unwrap().cr2, PAGE + 0xFF8);
}
