//! The tables of 32-bit and of PAE paging, bit by bit (Intel SDM volume 3A, 4.3, 4.4, 4.6 to 4.8).

use guestlab_cpu::{Cpu, CpuState, Direction, Exit, Until, state::reg};

use crate::{
    machine::*,
    pages::{NX, P, U, W},
};

/// The two modes whose linear addresses have 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paging {
    TwoLevels,
    Pae,
}
use Paging::{Pae, TwoLevels};

/// The directory pointers of PAE paging, and others.
const POINTERS: u64 = 0xB000;
const OTHER_POINTERS: u64 = 0xB020;
const DIRECTORY: u64 = 0xC000;
/// The table of the first pages, which are where they seem to be, and that of the page that the tests are about.
const TABLE: u64 = 0xD000;
const PAGE_TABLE: u64 = 0xE000;
/// A page: where it seems to be, in the second part of the directory, and where it is.
const PAGE: u64 = 0x40_A000;
const FRAME: u64 = 0xA000;

const PWT: u64 = 1 << 3;
const PCD: u64 = 1 << 4;
const A: u64 = 1 << 5;
const D: u64 = 1 << 6;
/// A large page in a directory, and the page attribute table in the entry of a page.
const PS: u64 = 1 << 7;
const G: u64 = 1 << 8;
/// Bits for software.
const FREE: u64 = 7 << 9;
const ALL: u64 = P | W | U;

/// The error code's bits, next to P, W and U: a reserved bit was set, and an instruction was fetched.
const RESERVED: u64 = 1 << 3;
const FETCHED: u64 = 1 << 4;

const PG: u64 = 1 << 31;
const WP: u64 = 1 << 16;
const PSE: u64 = 1 << 4;
const PAE_ON: u64 = 1 << 5;
const PGE: u64 = 1 << 7;
const SMEP: u64 = 1 << 20;
const SMAP: u64 = 1 << 21;
const NXE: u64 = 1 << 11;

/// `mov al, [edi]`, `mov [edi], al` and `jmp edi`.
const READ: [u8; 3] = [0x8A, 0x07, 0xF4];
const WRITE: [u8; 3] = [0x88, 0x07, 0xF4];
const FETCH: [u8; 2] = [0xFF, 0xE7];

/// A CPU with paging.
struct Paged {
    machine: Machine,
    paging: Paging,
}

impl Paged {
    /// A CPU at a privilege level, with these entries for `PAGE` in the directory and in the table.
    fn new(
        paging: Paging,
        level: u8,
        code: &[u8],
        [directory, table]: [u64; 2],
        change: impl FnOnce(&mut CpuState),
    ) -> Self {
        let mut paged = Self { machine: Machine::new(level, code), paging };
        // Where the supervisor runs its pages are not the user's: SMAP and SMEP would forbid them.
        let own = if level == 3 { ALL } else { P | W };
        for index in 0..16 {
            paged.set(TABLE, index, index << 12 | own);
        }
        paged.set(DIRECTORY, 0, TABLE | own);
        paged.set(DIRECTORY, paged.index(), directory | if directory & PS == 0 { PAGE_TABLE } else { 0 });
        paged.set(PAGE_TABLE, 10, FRAME | table);
        paged.machine.put(POINTERS, &(DIRECTORY | P).to_le_bytes());
        paged.machine.put(FRAME, &[0xF4]);
        paged.machine.change(|state| {
            state.general[reg::RDI] = PAGE;
            state.cr0 |= PG;
            (state.cr3, state.cr4) = (DIRECTORY, PSE);
            if paging == Pae {
                (state.cr3, state.cr4, state.efer) = (POINTERS, PAE_ON, NXE);
            }
            change(state);
        });
        paged
    }

    fn size(&self) -> u64 {
        if self.paging == Pae { 8 } else { 4 }
    }

    /// The index of the entry of `PAGE` in the directory.
    fn index(&self) -> u64 {
        if self.paging == Pae { PAGE >> 21 } else { PAGE >> 22 }
    }

    fn set(&mut self, table: u64, index: u64, entry: u64) {
        let size = self.size();
        self.machine.put(table + size * index, &entry.to_le_bytes()[..size as usize]);
    }

    /// Returns the accessed and the dirty bit of the two entries of `PAGE`.
    fn used(&self) -> [u64; 2] {
        let [directory, table] = [DIRECTORY + self.size() * self.index(), PAGE_TABLE + self.size() * 10]
            .map(|at| self.machine.word(at));
        [directory, table].map(|entry| u64::from(entry) & (A | D))
    }

    /// Returns the error code of the page fault, or `None` if there was none.
    fn error(&mut self) -> Option<u64> {
        match self.machine.vector() {
            14 => {
                assert_eq!(self.machine.state().cr2, PAGE);
                Some(self.machine.stack::<1>()[0].into())
            }
            // HLT is behind the access: at level 3 it raises #GP.
            _ => None,
        }
    }
}

/// Returns the error code of an access with these entries.
fn error(
    paging: Paging,
    level: u8,
    code: &[u8],
    entries: [u64; 2],
    change: impl FnOnce(&mut CpuState),
) -> Option<u64> {
    Paged::new(paging, level, code, entries, change).error()
}

/// Both entries with the bits of `bits` at one level, and all open at the other.
fn at_each_level(bits: u64) -> [[u64; 2]; 2] {
    [[bits, ALL], [ALL, bits]]
}

fn unchanged(_: &mut CpuState) {}

#[test]
fn each_level_can_lack_a_page() {
    for paging in [TwoLevels, Pae] {
        for entries in at_each_level(ALL & !P) {
            for (level, user) in [(0, 0), (3, U)] {
                assert_eq!(error(paging, level, &READ, entries, unchanged), Some(user));
                assert_eq!(error(paging, level, &WRITE, entries, unchanged), Some(user | W));
                // A fetch is said to be one where it can be forbidden: with NX, or with SMEP.
                let fetched = if paging == Pae { FETCHED } else { 0 };
                assert_eq!(error(paging, level, &FETCH, entries, unchanged), Some(user | fetched));
            }
            let fetch = |change: fn(&mut CpuState)| error(paging, 0, &FETCH, entries, change);
            assert_eq!(fetch(|state| state.efer = 0), Some(0));
            assert_eq!(fetch(|state| (state.efer, state.cr4) = (0, state.cr4 | SMEP)), Some(FETCHED));
        }
    }
    // With 4-byte entries EFER.NXE does not matter.
    assert_eq!(error(TwoLevels, 0, &FETCH, [ALL, 0], |state| state.efer = NXE), Some(0));
    // An entry that is not present can have all other bits.
    assert_eq!(error(TwoLevels, 0, &READ, [0xFFE, ALL], unchanged), Some(0));
    assert_eq!(error(Pae, 0, &READ, [ALL, !P & !0xFFF_F000], unchanged), Some(0));
}

#[test]
fn each_level_can_forbid_writes_and_users() {
    for paging in [TwoLevels, Pae] {
        for entries in at_each_level(ALL & !W) {
            assert_eq!(error(paging, 3, &READ, entries, unchanged), None);
            assert_eq!(error(paging, 3, &WRITE, entries, unchanged), Some(P | W | U));
            assert_eq!(error(paging, 0, &WRITE, entries, unchanged), None, "the supervisor without CR0.WP");
            assert_eq!(error(paging, 0, &WRITE, entries, |state| state.cr0 |= WP), Some(P | W));
        }
        let fetched = if paging == Pae { FETCHED } else { 0 };
        for entries in at_each_level(ALL & !U) {
            assert_eq!(error(paging, 3, &READ, entries, unchanged), Some(P | U));
            assert_eq!(error(paging, 3, &WRITE, entries, unchanged), Some(P | W | U));
            assert_eq!(error(paging, 3, &FETCH, entries, unchanged), Some(P | U | fetched));
            for code in [&READ[..], &WRITE, &FETCH] {
                assert_eq!(error(paging, 0, code, entries, |state| state.cr4 |= SMAP | SMEP), None);
            }
        }
        assert_eq!(error(paging, 0, &READ, [ALL; 2], |state| state.cr4 |= SMAP), Some(P));
        assert_eq!(error(paging, 0, &FETCH, [ALL; 2], |state| state.cr4 |= SMEP), Some(P | FETCHED));
        // The user has nothing to do with that. (What comes behind would be an access of the CPU's own.)
        let mut paged = Paged::new(paging, 3, &READ, [ALL; 2], |state| state.cr4 |= SMAP);
        assert_eq!(paged.machine.0.run(Until::Count(1)).unwrap(), Exit::Debug { points: 0 });
        assert_eq!(paged.machine.state().ip, CODE + 2);
    }
}

#[test]
fn bits_for_caches_and_software_change_nothing() {
    for paging in [TwoLevels, Pae] {
        // In the entry of a page bit 7 is the page attribute table.
        for bits in [[PWT | PCD | G | FREE, 0], [0, PWT | PCD | G | FREE | PS]] {
            let entries = bits.map(|bits| ALL | bits);
            for code in [&READ[..], &WRITE, &FETCH] {
                assert_eq!(error(paging, 3, code, entries, unchanged), None, "{paging:?} {bits:x?}");
            }
        }
    }
}

#[test]
fn an_entry_is_marked_accessed_and_that_of_the_page_dirty() {
    for paging in [TwoLevels, Pae] {
        for (code, used) in [(&READ[..], [A, A]), (&FETCH, [A, A]), (&WRITE, [A, A | D])] {
            let mut paged = Paged::new(paging, 0, code, [ALL; 2], unchanged);
            assert_eq!((paged.error(), paged.used()), (None, used), "{paging:?} {code:x?}");
            // A large page has both bits.
            let mut paged = Paged::new(paging, 0, code, [ALL | PS, 0], unchanged);
            assert_eq!((paged.error(), paged.used()), (None, [used[1], 0]), "{paging:?} {code:x?}");
        }
        let mut paged = Paged::new(paging, 3, &WRITE, [ALL, P | U], unchanged);
        assert_eq!((paged.error(), paged.used()[1]), (Some(ALL), 0), "a page that cannot be used");
        // The directory pointer has no such bits.
        assert_eq!(u64::from(paged.machine.word(POINTERS)), DIRECTORY | P);
    }
}

#[test]
fn large_pages() {
    for paging in [TwoLevels, Pae] {
        for (level, code, bits, expected) in [
            (3, &READ[..], ALL, None),
            (3, &READ, P | W, Some(P | U)),
            (3, &WRITE, P | U, Some(P | W | U)),
            (0, &WRITE, P | U, None),
            (0, &READ, 0, Some(0)),
            (0, &READ, ALL | PWT | PCD | G | FREE | 1 << 12, None),
        ] {
            let found = error(paging, level, code, [bits | PS, 0], unchanged);
            assert_eq!(found, expected, "{paging:?}, level {level}, {bits:#x}");
        }
    }
    // Without CR4.PSE the bit is ignored by 32-bit paging, so that the entry is that of a table. PAE paging does not ask.
    let mut paged = Paged::new(TwoLevels, 0, &READ, [ALL, 0], |state| state.cr4 = 0);
    let index = paged.index();
    paged.set(DIRECTORY, index, PAGE_TABLE | ALL | PS);
    assert_eq!(paged.error(), Some(0), "the page's entry is empty");
    assert_eq!(error(Pae, 0, &READ, [ALL | PS, 0], |state| state.cr4 = PAE_ON), None);
    // Bit 21 is reserved in 32-bit paging, and bits 13 to 20 are the address's from bit 32 on.
    assert_eq!(error(TwoLevels, 3, &READ, [ALL | PS | 1 << 21, 0], unchanged), Some(P | U | RESERVED));
    for bit in 13..=20 {
        let mut paged = Paged::new(TwoLevels, 0, &READ, [ALL | PS | 1 << bit, 0], unchanged);
        let address = (1 << (32 + bit - 13)) + FRAME;
        let expected = Exit::Mmio { address, len: 1, direction: Direction::In };
        assert_eq!(paged.machine.0.run(Until::Count(10)).unwrap(), expected);
    }
    for bit in 13..=20 {
        assert_eq!(error(Pae, 0, &READ, [ALL | PS | 1 << bit, 0], unchanged), Some(P | RESERVED), "{bit}");
    }
}

#[test]
fn pae_entries_have_reserved_bits_and_one_against_execution() {
    // CPUID says that addresses have 40 bits.
    for bit in 40..=62 {
        for entries in at_each_level(ALL | 1 << bit) {
            assert_eq!(error(Pae, 3, &READ, entries, unchanged), Some(P | U | RESERVED), "bit {bit}");
        }
        assert_eq!(error(Pae, 0, &WRITE, [ALL | PS | 1 << bit, 0], unchanged), Some(P | W | RESERVED));
    }
    for entries in [[ALL | NX, ALL], [ALL, ALL | NX], [ALL | PS | NX, 0]] {
        assert_eq!(error(Pae, 3, &READ, entries, unchanged), None);
        assert_eq!(error(Pae, 3, &FETCH, entries, unchanged), Some(P | U | FETCHED));
        assert_eq!(error(Pae, 0, &FETCH, entries, unchanged), Some(P | FETCHED));
        // Without EFER.NXE it is reserved, and a fetch is not said to be one.
        for code in [&READ[..], &FETCH] {
            assert_eq!(error(Pae, 0, code, entries, |state| state.efer = 0), Some(P | RESERVED));
        }
    }
}

/// `mov cr3, eax` and `hlt`.
const LOAD_CR3: [u8; 4] = [0x0F, 0x22, 0xD8, 0xF4];

#[test]
fn a_directory_pointer_with_a_reserved_bit_is_not_loaded() {
    for (bit, is_reserved) in (1_u32..=8).map(|bit| (bit, !matches!(bit, 3 | 4))).chain([
        (9, false),
        (11, false),
        (39, false),
        (40, true),
        (62, true),
        (63, true),
    ]) {
        for (pointer, present) in [(1, P), (3, P), (3, 0)] {
            let mut paged = Paged::new(Pae, 0, &LOAD_CR3, [ALL; 2], |state| {
                state.general[reg::RAX] = OTHER_POINTERS | 0x18;
            });
            paged.machine.put(OTHER_POINTERS, &(DIRECTORY | P).to_le_bytes());
            paged.machine.put(OTHER_POINTERS + 8 * pointer, &(present | 1 << bit).to_le_bytes());
            let is_refused = is_reserved && present != 0;
            let ip = paged.machine.halt();
            let found = (ip != CODE + 3, paged.machine.state().cr3 == POINTERS);
            assert_eq!(found, (is_refused, is_refused), "bit {bit} of pointer {pointer}, present {present}");
            if is_refused {
                assert_eq!(paged.machine.stack(), [0, CODE as u32], "#GP(0)");
            }
        }
    }
    // There is no memory, so that all bits are 1.
    let mut paged = Paged::new(Pae, 0, &LOAD_CR3, [ALL; 2], |state| state.general[reg::RAX] = 0x10_0000);
    assert_eq!(paged.machine.fault(), (13, 0, CODE as u32));
}

/// Returns true if a page of the second GiB can be read after its pointer in memory has gone, and after more code.
fn still_reads(code: &[u8]) -> bool {
    // `mov byte [POINTERS + 8], 0`, and the read at the end.
    let first = [0xC6, 0x05, 8, 0xB0, 0, 0, 0];
    let mut paged = Paged::new(Pae, 0, &[&first[..], code, &READ].concat(), [P | W; 2], |state| {
        state.general[reg::RDI] = PAGE | 1 << 30;
    });
    paged.machine.put(POINTERS + 8, &(DIRECTORY | P).to_le_bytes());
    paged.machine.vector() != 14
}

#[test]
fn pointers_are_used_as_they_were_loaded() {
    // `mov eax, cr4`, `xor eax, imm`, `mov cr4, eax`; the same with CR0; `mov eax, cr3`, `mov cr3, eax`; `invlpg [edi]`.
    let cr4 =
        |bits: u64| [&[0x0F, 0x20, 0xE0, 0x35][..], &bits.to_le_bytes()[..4], &[0x0F, 0x22, 0xE0]].concat();
    let cr0 =
        |bits: u64| [&[0x0F, 0x20, 0xC0, 0x35][..], &bits.to_le_bytes()[..4], &[0x0F, 0x22, 0xC0]].concat();
    const CD: u64 = 1 << 30;
    for (code, keeps) in [
        (vec![], true),
        (vec![0x0F, 0x01, 0x3F], true),
        (cr0(WP), true),
        (cr4(SMAP), true),
        (cr4(PGE), false),
        (cr4(PSE), false),
        (cr4(SMEP), false),
        (cr0(CD), false),
        (vec![0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8], false),
    ] {
        assert_eq!(still_reads(&code), keeps, "{code:x?}");
    }
}

#[test]
fn pointers_are_loaded_where_pae_paging_begins() {
    // `mov eax, cr0`, `or eax, 1 << 31`, `mov cr0, eax`, and a read of `PAGE`.
    let code = [&[0x0F, 0x20, 0xC0, 0x0D, 0, 0, 0, 0x80, 0x0F, 0x22, 0xC0][..], &READ].concat();
    let off = |state: &mut CpuState| state.cr0 &= !PG;
    assert_eq!(error(Pae, 0, &code, [ALL; 2], off), None);
    let mut paged = Paged::new(Pae, 0, &code, [ALL; 2], off);
    paged.machine.put(POINTERS, &(DIRECTORY | P | W).to_le_bytes());
    assert_eq!(paged.machine.fault(), (13, 0, CODE as u32 + 8));
    assert_eq!(paged.machine.state().cr0 & PG, 0);
    // A fork has those that are loaded, and a change of registers leaves them.
    let mut paged = Paged::new(Pae, 0, &[&READ[..2], &READ].concat(), [ALL; 2], unchanged);
    assert_eq!(paged.machine.0.run(Until::Count(1)).unwrap(), Exit::Debug { points: 0 });
    paged.machine.put(POINTERS, &[0]);
    let mut fork = paged.machine.0.fork();
    let registers = fork.state().unwrap();
    fork.set_registers(&registers).unwrap();
    assert!(matches!(fork.run(Until::Count(5)).unwrap(), Exit::Halt { .. }));
}
