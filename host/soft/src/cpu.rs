//! The CPU as data: its state, what is derived from it, and decoded instructions.
//!
//! The other files add the behaviour, each on its subject.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};

use guestlab_cpu::{
    Coverage, CpuState, Exit, Kick, MemoryPlan, Rights, Segment, Stepped, walk::DirectoryPointers,
};
use iced_x86::Instruction;
use x86_64::registers::control::Cr0Flags;

use crate::{
    coverage::Runs,
    fault::{Event, Step},
    flags::{self, Flags},
    points::Points,
    ram::Ram,
};

/// One virtual CPU of the interpreter, with its memory.
pub struct SoftCpu {
    /// The state. RFLAGS is in `flags`, and RIP is behind the instruction that is carried out.
    pub(crate) state: CpuState,
    pub(crate) flags: Flags,
    pub(crate) ram: Ram,
    pub(crate) cache: Cache,
    pub(crate) tlb: Tlb,
    /// The directory pointers of PAE paging, once they are loaded.
    pub(crate) pointers: Option<DirectoryPointers>,
    /// The width of code in bits. This and the next ones follow from the state: see [`refresh`](Self::refresh).
    pub(crate) bits: u8,
    /// The current privilege level.
    pub(crate) cpl: u8,
    pub(crate) has_paging: bool,
    pub(crate) checks_alignment: bool,
    /// Each access to data is looked at: for its alignment, or for watchpoints.
    pub(crate) checks_access: bool,
    pub(crate) allows: [Allows; 6],
    pub(crate) ip_mask: u64,
    /// The address of a page fault until it is delivered in CR2.
    pub(crate) fault_address: u64,
    /// The rest of the block must not be carried out: code or mode may have changed.
    pub(crate) stale: bool,
    /// The instruction is a repeated one that has not come to its end.
    pub(crate) repeats: bool,
    /// A task switch was made, and the new task raised an exception: what is done stays done.
    pub(crate) switched: bool,
    /// The exit that an instruction asks for.
    pub(crate) exit: Option<Exit>,
    /// The last exit was in the middle of an instruction, which begins again with the answers so far.
    pub(crate) waits: bool,
    pub(crate) waits_for_port: bool,
    /// The last exit was IN or OUT, and this is the rest of the instruction.
    pub(crate) port: Option<PortAccess>,
    /// The instruction pointer behind the instruction of the last exit.
    pub(crate) next: u64,
    pub(crate) answer: u64,
    pub(crate) answers: Vec<u64>,
    pub(crate) used_answers: usize,
    /// The instructions that have ended: retired, or raised an exception. Each repetition of a string instruction is one.
    pub(crate) retired: u64,
    /// The ticks that passed without an instruction.
    pub(crate) idle: u64,
    /// The guest has read the time-stamp counter.
    pub(crate) has_read_time: bool,
    /// The count at which the caller wants to look at the time.
    pub(crate) alarm: Option<u64>,
    /// The count at which this run ends.
    pub(crate) end: u64,
    pub(crate) wants_window: bool,
    pub(crate) interrupt: Option<u8>,
    pub(crate) points: Points,
    pub(crate) kicked: Arc<Kicked>,
    /// The last exit was behind an instruction that began with TF set: the next run begins with #DB.
    pub(crate) traps_later: bool,
    /// One repetition of a string instruction is carried out at a time.
    pub(crate) single: bool,
    /// The last instruction loaded SS: debug exceptions wait for the end of the next one (Intel SDM volume 3A, 6.8.3).
    pub(crate) blocks_traps: bool,
    /// The events of the last step.
    pub(crate) stepped: Stepped,
}

/// The rest of IN or OUT after its exit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PortAccess {
    /// The accumulator gets so many bytes.
    In(u8),
    /// There is nothing left to do.
    Out,
}

#[derive(Debug, Default)]
pub(crate) struct Kicked(pub(crate) AtomicBool);

impl Kick for Kicked {
    fn kick(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl SoftCpu {
    /// Creates a CPU with zeroed memory.
    pub fn new(memory: &MemoryPlan, state: &CpuState) -> Self {
        let mut cpu = Self {
            state: state.clone(),
            flags: Flags::new(state.flags),
            ram: Ram::new(memory),
            cache: Cache::default(),
            tlb: Tlb::default(),
            pointers: None,
            bits: 16,
            cpl: 0,
            has_paging: false,
            checks_alignment: false,
            checks_access: false,
            allows: [Allows::default(); 6],
            ip_mask: 0,
            fault_address: 0,
            stale: false,
            repeats: false,
            switched: false,
            exit: None,
            waits: false,
            waits_for_port: false,
            port: None,
            next: 0,
            answer: 0,
            answers: Vec::new(),
            used_answers: 0,
            retired: 0,
            idle: 0,
            has_read_time: false,
            alarm: None,
            end: u64::MAX,
            wants_window: false,
            interrupt: None,
            points: Points::default(),
            kicked: Arc::default(),
            traps_later: false,
            single: false,
            blocks_traps: false,
            stepped: Stepped::Nothing,
        };
        cpu.find_points();
        cpu
    }

    /// Returns another CPU in the same state, with memory of the same bytes. The two share each page until one writes it.
    pub fn fork(&mut self) -> Self {
        let mut fork = Self::new(&MemoryPlan::default(), &self.state);
        fork.ram = self.ram.fork();
        fork.take_state(self);
        fork.set_points(self.points.of_debugger());
        fork.cache.coverage.clone_from(&self.cache.coverage);
        fork
    }

    /// Returns to the state of an earlier fork, with memory of the same ranges. Code that stays the same stays decoded.
    pub(crate) fn return_to_fork(&mut self, earlier: &mut Self) {
        self.state.clone_from(&earlier.state);
        self.ram.return_to(&mut earlier.ram);
        self.take_state(earlier);
        (self.exit, self.used_answers, self.repeats, self.switched) = (None, 0, false, false);
        (self.single, self.stepped) = (false, Stepped::Nothing);
        self.points.forget_met();
        self.points.passed = None;
        self.tlb.flush();
        self.set_points(&[]);
    }

    /// Takes the state of another CPU beyond what [`CpuState`] has, memory apart.
    fn take_state(&mut self, from: &Self) {
        (self.flags, self.pointers) = (from.flags, from.pointers);
        (self.waits, self.answer) = (from.waits, from.answer);
        self.answers.clone_from(&from.answers);
        (self.waits_for_port, self.port, self.next) = (from.waits_for_port, from.port, from.next);
        (self.traps_later, self.blocks_traps) = (from.traps_later, from.blocks_traps);
        (self.idle, self.alarm, self.has_read_time) = (from.idle, from.alarm, from.has_read_time);
        (self.retired, self.wants_window, self.interrupt) = (from.retired, from.wants_window, from.interrupt);
    }

    /// Computes again the facts that follow from segments, control registers and flags.
    pub(crate) fn refresh(&mut self) {
        self.state.flags = self.flags.get();
        let is_protected = self.state.is_protected() && !self.state.is_virtual_8086();
        self.bits = self.state.bits() as u8;
        self.ip_mask = if self.bits == 64 { u64::MAX } else { u32::MAX.into() };
        self.cpl = if self.state.is_virtual_8086() { 3 } else { self.state.privilege() };
        self.has_paging = self.state.has_paging();
        self.checks_alignment = self.cpl == 3
            && self.state.cr0 & Cr0Flags::ALIGNMENT_MASK.bits() != 0
            && self.flags.has(flags::AC);
        self.checks_access = self.checks_alignment || self.points.on_data;
        for (allows, segment) in self.allows.iter_mut().zip(&self.state.segments) {
            *allows = Allows::of(segment, is_protected);
        }
        self.cache.epoch += 1;
        self.stale = true;
    }

    /// Drops all that was derived from page tables and code.
    pub(crate) fn flush(&mut self) {
        self.tlb.flush();
        self.cache.epoch += 1;
        self.stale = true;
    }

    /// Ends the instruction with an exit. It begins again when the exit is answered.
    pub(crate) fn leave_to_resume(&mut self, exit: Exit) -> Event {
        self.waits_for_port = matches!(exit, Exit::In { .. } | Exit::Out { .. });
        (self.exit, self.waits) = (Some(exit), true);
        Event::Exit
    }

    /// Returns the answer to the instruction's next exit, if it has one already.
    pub(crate) fn answered(&mut self) -> Option<u64> {
        let answer = self.answers.get(self.used_answers).copied()?;
        self.used_answers += 1;
        Some(answer)
    }
}

impl core::fmt::Debug for SoftCpu {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SoftCpu")
            .field("state", &self.state)
            .field("retired", &self.retired)
            .finish_non_exhaustive()
    }
}

/// The function that carries out an instruction. RIP is behind the instruction already.
pub(crate) type Handler = fn(&mut SoftCpu, &Op) -> Step;

/// An instruction, ready to be carried out.
#[derive(Clone, Copy)]
pub(crate) struct Op {
    /// The function that carries it out.
    pub(crate) run: Handler,
    /// The first operand, which most instructions write.
    pub(crate) to: Operand,
    /// The second operand.
    pub(crate) from: Operand,
    /// The size of the first operand in bytes.
    pub(crate) size: u8,
    /// The size of the second operand in bytes.
    pub(crate) from_size: u8,
    /// The condition of Jcc, SETcc and CMOVcc, as their opcodes have it.
    pub(crate) condition: u8,
    /// The general register that the first operand is.
    pub(crate) to_register: u8,
    /// The general register that the second operand is.
    pub(crate) from_register: u8,
    /// The instruction pointer.
    pub(crate) ip: u64,
    /// The instruction pointer of the next instruction.
    pub(crate) next: u64,
    /// The immediate operand, extended to 64 bits; or the target of a near jump.
    pub(crate) imm: u64,
    /// The address of the operand in memory.
    pub(crate) mem: Address,
    /// The instruction, for all that is rare.
    pub(crate) insn: Instruction,
}

impl Op {
    /// Returns true if the instruction has a REP or REPE prefix.
    pub(crate) fn is_repeated(&self) -> bool {
        self.insn.has_rep_prefix() || self.insn.has_repne_prefix()
    }

    /// Returns the size of addresses in bytes.
    pub(crate) fn address_size(&self) -> u8 {
        self.mem.size()
    }
}

/// The place of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// There is none, or the instruction knows it itself.
    None,
    /// The low bytes of a general register.
    Low(u8),
    /// AH, CH, DH or BH.
    High(u8),
    /// Memory, at the instruction's address.
    Memory,
    /// The immediate value.
    Immediate,
    /// A segment register.
    Segment(u8),
}

/// The operands of an instruction, as far as its function depends on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands {
    pub(crate) to: Operand,
    pub(crate) from: Operand,
    /// The size of the first one in bytes.
    pub(crate) size: u8,
}

/// A register that is not there.
pub(crate) const NONE: u8 = 16;

/// The address of an operand: `segment:[base + index * 2^scale + displacement]` (Intel SDM volume 1, 3.7.5).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) base: u8,
    pub(crate) index: u8,
    pub(crate) scale: u8,
    /// The segment, as an index.
    pub(crate) segment: u8,
    pub(crate) displacement: u64,
    /// The bits of an address: 16, 32 or 64 of them.
    pub(crate) mask: u64,
}

/// The number of places for blocks: at first, and at most. Both are powers of two.
const FEWEST_PLACES: usize = 32;
const MOST_PLACES: usize = 4096;

/// A run of instructions.
pub(crate) struct Block {
    pub(crate) key: Key,
    /// The last offset in the code segment that it takes.
    pub(crate) last: u64,
    pub(crate) ops: Box<[Op]>,
    /// Its runs, if they are counted.
    pub(crate) runs: Option<Box<Runs>>,
    /// The [`Cache::epoch`] in which the address and the segment were last checked.
    pub(crate) epoch: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) physical: u64,
    pub(crate) ip: u64,
    pub(crate) bits: u8,
}

/// The blocks that were decoded, each in a place that follows from its instruction pointer.
#[derive(Default)]
pub(crate) struct Cache {
    places: Vec<Option<Box<Block>>>,
    /// It grows with each change after which an instruction pointer can mean other code: of mode, segments or page tables.
    pub(crate) epoch: u64,
    /// The collector of executed code.
    pub(crate) coverage: Option<Arc<dyn Coverage>>,
}

impl Cache {
    /// Returns the place for blocks that begin at an instruction pointer.
    #[inline]
    pub(crate) fn place(&self, ip: u64) -> usize {
        (ip ^ ip >> 12) as usize & self.places.len().wrapping_sub(1)
    }

    #[inline]
    pub(crate) fn get(&mut self, place: usize) -> Option<&mut Block> {
        self.places.get_mut(place)?.as_deref_mut()
    }

    /// Keeps a block, in place of another one if there is no room for more. Returns its place.
    pub(crate) fn insert(&mut self, block: Block) -> usize {
        if self.places.is_empty() {
            self.places.resize_with(FEWEST_PLACES, || None);
        }
        while self.get(self.place(block.key.ip)).is_some_and(|other| other.key.ip != block.key.ip)
            && self.places.len() < MOST_PLACES
        {
            self.grow();
        }
        let place = self.place(block.key.ip);
        let before = self.places[place].replace(Box::new(block));
        before.into_iter().for_each(|block| self.flush(block.runs));
        place
    }

    fn grow(&mut self) {
        let blocks = core::mem::take(&mut self.places);
        self.places.resize_with(2 * blocks.len(), || None);
        for block in blocks.into_iter().flatten() {
            let place = self.place(block.key.ip);
            self.places[place] = Some(block);
        }
    }

    /// Drops all blocks.
    pub(crate) fn clear(&mut self) {
        let blocks = core::mem::take(&mut self.places);
        blocks.into_iter().flatten().for_each(|block| self.flush(block.runs));
    }

    /// Hands the counts of a block on. It is no longer there.
    pub(crate) fn flush(&self, runs: Option<Box<Runs>>) {
        if let (Some(runs), Some(coverage)) = (runs, &self.coverage) {
            runs.flush(&**coverage);
        }
    }

    /// Drops the blocks of the page of a physical address.
    pub(crate) fn drop_page(&mut self, physical: u64) {
        let page = physical >> 12;
        for place in 0..self.places.len() {
            let dropped = self.places[place].take_if(|block| block.key.physical >> 12 == page);
            dropped.into_iter().for_each(|block| self.flush(block.runs));
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A segment's rights, as far as each access needs them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allows {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) expands_down: bool,
}

impl Allows {
    /// Returns the rights of a loaded segment (Intel SDM volume 3A, 5.3 to 5.5).
    pub(crate) fn of(segment: &Segment, is_protected: bool) -> Self {
        if !is_protected {
            return Self { read: true, write: true, expands_down: false };
        }
        let has = |right| segment.rights.has(right);
        if has(Rights::UNUSABLE) || !has(Rights::PRESENT) {
            return Self::default();
        }
        match has(Rights::EXECUTABLE) {
            // The bits mean "readable" and "conforming".
            true => Self { read: has(Rights::WRITABLE), write: false, expands_down: false },
            false => Self { read: true, write: has(Rights::WRITABLE), expands_down: has(Rights::CONFORMING) },
        }
    }
}

/// The number of translations that are kept.
pub(crate) const ENTRIES: usize = 256;

/// The translations that were used, as a CPU keeps them.
#[derive(Default)]
pub(crate) struct Tlb {
    entries: Vec<Translation>,
    /// Entries of another epoch do not count. The first one is 1.
    epoch: u64,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Translation {
    /// The linear page, and the time of the entry: [`Tlb`] sets both.
    pub(crate) page: u64,
    pub(crate) epoch: u64,
    pub(crate) frame: u64,
    pub(crate) writable: bool,
    pub(crate) user: bool,
    pub(crate) executable: bool,
    pub(crate) dirty: bool,
}

impl Tlb {
    /// Drops all translations.
    pub(crate) fn flush(&mut self) {
        self.epoch += 1;
    }

    #[inline]
    pub(crate) fn get(&self, linear: u64) -> Option<&Translation> {
        let page = linear >> 12;
        let entry = self.entries.get(page as usize % ENTRIES)?;
        (entry.page == page && entry.epoch == self.epoch).then_some(entry)
    }

    pub(crate) fn insert(&mut self, linear: u64, translation: Translation) {
        if self.entries.is_empty() {
            self.entries.resize(ENTRIES, Translation::default());
            self.epoch += 1;
        }
        let page = linear >> 12;
        self.entries[page as usize % ENTRIES] = Translation { page, epoch: self.epoch, ..translation };
    }
}
