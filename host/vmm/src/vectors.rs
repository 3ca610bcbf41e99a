//! The host's table of vectors, for images that others built. Without a table, an exception shuts the CPU down, and some
//! KVM modules then reset the registers. So such an image starts with a table whose handlers stop the guest. When the
//! image loads its own table, the CPU uses that one.
//!
//! Outside of real mode the table, and the segments that it needs, lie in the host's page behind the guest's memory.
//! In real mode the table is at address 0. If the image itself lies there, the CPU uses another table, in the page of the
//! handlers. Vectors that the guest has written at 0 are still used.

use guest_abi::{
    block::Trap,
    layout::{PAGE_SIZE, REAL_MODE_END},
    mode::CpuMode,
    trap::{EXCEPTIONS, Exception},
};
use x86_64::structures::gdt::DescriptorFlags;

use guestlab_cpu::{CpuState, GuestMemory, OutOfMemory, Rights, Segment, Table, walk};

use crate::{image::Image, memory::read_record};

/// The descriptor tables that a CPU starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The segments (GDT); `None` is the table after reset.
    pub segments: Option<Table>,
    /// The vectors (IDT).
    pub vectors: Table,
    /// In long mode: the selector and the linear address of the task-state segment.
    pub task: Option<(u16, u32)>,
}

impl Tables {
    /// Returns the state of a CPU that has loaded these tables. Without any, the first exception outside of real mode
    /// shuts the CPU down.
    pub(crate) fn loaded_by(self, state: CpuState) -> CpuState {
        let Self { segments, vectors, task } = self;
        CpuState {
            gdt: segments.unwrap_or(state.gdt),
            idt: vectors,
            tr: task.map_or(state.tr, |(selector, start)| task_segment(selector, start)),
            ..state
        }
    }
}

/// Returns the task-state segment of 64-bit mode (SDM volume 3A, 7.7), in use.
fn task_segment(selector: u16, start: u32) -> Segment {
    const SIZE: u32 = 104;
    Segment { selector, base: start.into(), limit: SIZE - 1, rights: Rights::BUSY_TSS }
}

/// The offsets of the parts of the page. The text of the exit counts is at its beginning.
const SEGMENTS: u32 = 0x100;
const TASK: u32 = 0x140;
const GATES: u32 = 0x200;
const STUBS: u32 = 0x400;
/// In long mode: one past the stack of exceptions.
const STACK_END: u32 = 0x800;
/// In real mode: the table, where it cannot be at 0.
const REAL_TABLE: u32 = 0x800;

/// A handler: `hlt; nop`. It is found by the instruction pointer, which is at the `hlt` or behind it.
const STUB: [u8; 2] = [0xF4, 0x90];

/// The number of real mode's vectors, the size of one, and that of all.
const REAL_VECTORS: u16 = 256;
const REAL_VECTOR: u32 = 4;
const REAL_TABLE_SIZE: usize = 1024;

/// The size of the table's upper half.
const UPPER: u32 = 512;

/// The selectors of the host's segments.
const CODE: u16 = 1 << 3;
const DATA: u16 = 2 << 3;
const TASK_SELECTOR: u16 = 3 << 3;

/// The addresses of a PC's firmware. Images do not use them as memory, so real mode's handlers are there.
const FIRMWARE: std::ops::Range<u32> = 0xC_0000..0x10_0000;

/// The host's handlers in the memory of a guest.
#[derive(Clone, Debug)]
pub struct Vectors {
    /// The linear address of the first.
    stubs: u64,
    /// The linear address of the table that names them.
    table: u64,
    /// The first content of real mode's table at 0, if the CPU uses another table.
    covered: Option<Box<[u8; REAL_TABLE_SIZE]>>,
}

/// An exception or a software interrupt that reached one of the host's handlers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// The vector, and the pushed frame. If an instruction raised it, the instruction pointer is that instruction's.
    pub trap: Trap,
    /// An instruction raised it: `int`, `int3` or `into`.
    pub is_asked_for: bool,
    /// The registers of the code that was interrupted.
    pub registers: CpuState,
}

impl Vectors {
    /// Writes a table for a mode other than real mode into the host's page. Returns it with the CPU's tables.
    ///
    /// # Errors
    ///
    /// There is no such page.
    pub fn in_page(
        memory: &mut dyn GuestMemory,
        mode: CpuMode,
        page: u32,
    ) -> Result<(Self, Tables), OutOfMemory> {
        let is_long = mode == CpuMode::Long;
        let stub = |vector| page + STUBS + vector * 2;
        let code = if is_long { DescriptorFlags::KERNEL_CODE64 } else { DescriptorFlags::KERNEL_CODE32 };
        let task = task_descriptor(page + TASK);
        let segments = [0, code.bits(), DescriptorFlags::KERNEL_DATA.bits(), task, 0];
        memory.write((page + SEGMENTS).into(), &segments.map(u64::to_le_bytes).concat())?;
        let gates: Vec<u8> = (0..EXCEPTIONS).flat_map(|vector| gate(vector, stub(vector), is_long)).collect();
        memory.write((page + GATES).into(), &gates)?;
        memory.write((page + STUBS).into(), &STUB.repeat(EXCEPTIONS as usize))?;
        if is_long {
            // The first of the stacks that gates name (SDM volume 3A, 7.7 "Task Management in 64-bit Mode").
            memory.write((page + TASK + 36).into(), &u64::from(page + STACK_END).to_le_bytes())?;
        }
        let tables = Tables {
            segments: Some(table(page + SEGMENTS, size_of_val(&segments))),
            vectors: table(page + GATES, gates.len()),
            task: is_long.then_some((TASK_SELECTOR, page + TASK)),
        };
        let (stubs, table) = ((page + STUBS).into(), (page + GATES).into());
        Ok((Self { stubs, table, covered: None }, tables))
    }

    /// Writes real mode's table. Returns `None` if there is no room for handlers.
    ///
    /// # Errors
    ///
    /// Never: all addresses were checked to be memory.
    pub fn in_real_mode(
        memory: &mut dyn GuestMemory,
        image: &Image,
        size: u32,
    ) -> Result<Option<(Self, Option<Tables>)>, OutOfMemory> {
        let Some(page) = real_page(image, size) else { return Ok(None) };
        memory.write((page + STUBS).into(), &STUB.repeat(REAL_VECTORS.into()))?;
        let [segment_low, segment_high, ..] = (page >> 4).to_le_bytes();
        let vector = |vector: u16| {
            let [low, high, ..] = (STUBS + u32::from(vector) * 2).to_le_bytes();
            [low, high, segment_low, segment_high]
        };
        let vectors: Vec<u8> = (0..REAL_VECTORS).flat_map(vector).collect();
        let stubs = u64::from(page + STUBS);
        if !image.ranges().any(|(start, end)| start < REAL_TABLE_SIZE as u64 && end > 0) {
            memory.write(0, &vectors)?;
            return Ok(Some((Self { stubs, table: 0, covered: None }, None)));
        }
        memory.write((page + REAL_TABLE).into(), &vectors)?;
        // KVM's emulator reads the vector of `int` as a signed number: it finds those from 0x80 on here.
        memory.write((page + REAL_TABLE - UPPER).into(), &vectors[REAL_TABLE_SIZE - UPPER as usize..])?;
        let covered = read_record::<[u8; REAL_TABLE_SIZE]>(memory, 0)?;
        let vectors = table(page + REAL_TABLE, vectors.len());
        let tables = Tables { segments: None, vectors, task: None };
        let table = vectors.base;
        Ok(Some((Self { stubs, table, covered: Some(covered.into()) }, Some(tables))))
    }

    /// Returns true if a CPU with these registers still has the host's table.
    pub fn are_in_force(&self, registers: &CpuState) -> bool {
        registers.idt.base == self.table
    }

    /// Returns the vector of the handler that the instruction pointer is at.
    pub fn reached(&self, registers: &CpuState) -> Option<u8> {
        let offset = registers.instruction().checked_sub(self.stubs)?;
        u8::try_from(offset / STUB.len() as u64).ok()
    }

    /// Returns true if a guest came to the handlers of real mode through the empty memory before them. A vector leads to
    /// them with a code segment of their own.
    pub fn are_run_into(&self, registers: &CpuState) -> bool {
        let offset = registers.instruction().wrapping_sub(self.stubs);
        registers.mode() == CpuMode::Real
            && offset < 2 * u64::from(REAL_VECTORS)
            && registers.ip != u64::from(STUBS) + offset
    }

    /// Returns selector and offset of the guest's own handler, if the guest has set one in the table at 0 and the CPU
    /// uses another table.
    pub fn own_handler(&self, memory: &dyn GuestMemory, vector: u8) -> Option<(u16, u16)> {
        let at = u32::from(vector) * REAL_VECTOR;
        let then = self.covered.as_ref()?.get(at as usize..)?.first_chunk::<4>()?;
        let now = read_record::<[u8; 4]>(memory, at).ok()?;
        let [low, high, segment_low, segment_high] = now;
        let handler = (u16::from_le_bytes([segment_low, segment_high]), u16::from_le_bytes([low, high]));
        (now != *then).then_some(handler)
    }
}

/// Returns a page that 16-bit code reaches, for the handlers of real mode: behind a small memory, or at the addresses of a
/// PC's firmware.
fn real_page(image: &Image, size: u32) -> Option<u32> {
    if size <= FIRMWARE.start {
        return Some(size);
    }
    let last = FIRMWARE.end.min(size) - PAGE_SIZE;
    (FIRMWARE.start..=last).rev().step_by(PAGE_SIZE as usize).find(|&page| !image.takes(page))
}

fn table(start: u32, size: usize) -> Table {
    Table { base: start.into(), limit: u16::try_from(size - 1).unwrap_or(u16::MAX) }
}

/// A gate to a handler (SDM volume 3A, 6.11 and 6.14.1): 8 bytes, in long mode 16.
fn gate(vector: u32, handler: u32, is_long: bool) -> Vec<u8> {
    const INTERRUPT_GATE: u8 = 0x8E;
    // An image may have segments of its own, with code as the second. Then the first exception fails, and the handler of
    // the double fault still works.
    let selector = if vector == Exception::DoubleFault as u32 && !is_long { DATA } else { CODE };
    let [a, b, c, d] = handler.to_le_bytes();
    let [low, high] = selector.to_le_bytes();
    let mut gate = vec![a, b, low, high, u8::from(is_long), INTERRUPT_GATE, c, d];
    gate.resize(if is_long { 16 } else { 8 }, 0);
    gate
}

/// The lower half of a descriptor of a task-state segment in use (SDM volume 3A, 7.2.3), of 104 bytes.
fn task_descriptor(start: u32) -> u64 {
    const PRESENT_BUSY: u64 = 0x8B;
    const LIMIT: u64 = 103;
    let start = u64::from(start);
    LIMIT | (start & 0xFF_FFFF) << 16 | PRESENT_BUSY << 40 | (start >> 24) << 56
}

impl Vectors {
    /// Returns the registers of the first exception, for a CPU that shut down while it was calling these handlers: an
    /// image with segments of its own may have made them unusable. Returns `None` if they are lost.
    pub fn traced_back(&self, memory: &dyn GuestMemory, last: CpuState) -> Option<CpuState> {
        /// Each handler's call may have failed in turn.
        const MOST: usize = 4;
        let mut registers = last;
        for _ in 0..MOST {
            let Some(vector) = self.called(&registers) else { return Some(registers) };
            registers = Interruption::of(memory, &registers, vector)?.registers;
        }
        None
    }

    /// Returns the vector of the handler at the instruction pointer, in any segment.
    fn called(&self, registers: &CpuState) -> Option<u8> {
        let offset = registers.ip.checked_sub(self.stubs)?;
        let vector = u8::try_from(offset / STUB.len() as u64).ok();
        vector.filter(|&vector| u32::from(vector) < EXCEPTIONS)
    }

    /// Returns true if the CPU was calling one of these handlers when it shut down.
    pub fn have(&self, registers: &CpuState) -> bool {
        self.called(registers).is_some()
    }
}

impl Interruption {
    /// Reads the frame that was pushed on the way to the handler of a vector. Returns `None` if the stack is not memory.
    pub fn of(memory: &dyn GuestMemory, now: &CpuState, vector: u8) -> Option<Self> {
        let size = now.word() as u64;
        let word = |index: u64| {
            let mut bytes = [0; 8];
            let address = now.stack().wrapping_add(index * size);
            let there = walk::read_linear(now, memory, address, &mut bytes[..usize::try_from(size).ok()?]);
            (there as u64 == size).then(|| u64::from_le_bytes(bytes))
        };
        let exception = Exception::try_from(u32::from(vector)).ok();
        let has_code = now.mode() != CpuMode::Real && exception.is_some_and(Exception::has_error_code);
        let code = |cs: u64| code_segment(now, memory, cs.to_le_bytes());
        // `int` pushes no error code, for any vector.
        let asked = asking(now, memory, code(word(1)?).0.wrapping_add(word(0)?), vector);
        let first = u64::from(has_code && asked.is_none());
        let (ip, cs, flags) = (word(first)?, word(first + 1)?, word(first + 2)?);
        let (base, selector, bits) = code(cs);
        let mut general = now.general;
        let stack = &mut general[Trap::STACK_POINTER];
        let (top, ss) = match now.mode() {
            CpuMode::Long => (word(first + 3)?, word(first + 4)?),
            CpuMode::Real => (*stack & !0xFFFF | stack.wrapping_add(3 * size) & 0xFFFF, 0),
            _ => (stack.wrapping_add((first + 3) * size), 0),
        };
        *stack = top;
        let trap = Trap {
            vector: vector.into(),
            has_error_code: u32::try_from(first).unwrap_or(0),
            error_code: if first == 1 { word(0)? } else { 0 },
            cr2: now.cr2,
            ip: ip.wrapping_sub(asked.unwrap_or(0)),
            flags,
            cs: selector.into(),
            ss,
            general,
        };
        let registers = now.clone().interrupted(&trap).in_code_segment(base, selector, bits);
        Some(Self { trap, is_asked_for: asked.is_some(), registers })
    }
}

/// Returns the code segment that a selector names: its base, the selector, and the width of its code in bits. `pushed`
/// begins with the selector. A segment that cannot be read is taken for the present one.
fn code_segment(now: &CpuState, memory: &dyn GuestMemory, pushed: [u8; 8]) -> (u64, u16, u32) {
    let selector = u16::from_le_bytes([pushed[0], pushed[1]]);
    let (base, present) = now.code_segment();
    if now.mode() == CpuMode::Real {
        return (u64::from(selector) << 4, selector, 16);
    }
    let read = |address: u64, bytes: &mut [u8]| walk::read_linear(now, memory, address, bytes) == bytes.len();
    let descriptor = now.descriptor(selector, read).filter(|_| selector != present);
    let Some(descriptor) = descriptor else { return (base, selector, now.bits()) };
    // The base in pieces, and the bits L and D (SDM volume 3A, 3.4.5).
    let rights = Rights::from_descriptor(descriptor);
    let [_, _, a, b, c, _, _, d] = descriptor.to_le_bytes();
    match (now.mode() == CpuMode::Long && rights.has(Rights::LONG), rights.has(Rights::BIG)) {
        (true, _) => (0, selector, 64),
        (false, is_wide) => {
            (u32::from_le_bytes([a, b, c, d]).into(), selector, if is_wide { 32 } else { 16 })
        }
    }
}

/// The length of the instruction that ends at a linear address, if it asks for this vector.
fn asking(now: &CpuState, memory: &dyn GuestMemory, end: u64, vector: u8) -> Option<u64> {
    let byte = |back: u64| {
        let mut byte = [0];
        (walk::read_linear(now, memory, end.wrapping_sub(back), &mut byte) == 1).then_some(byte[0])
    };
    match (byte(1)?, vector) {
        (asked, _) if asked == vector && byte(2) == Some(0xCD) => Some(2),
        // int1, int3, into
        (0xF1, 1) | (0xCC, 3) | (0xCE, 4) => Some(1),
        _ => None,
    }
}

const _: () = assert!(GATES + EXCEPTIONS * 16 <= STUBS && STUBS + EXCEPTIONS * 2 < STACK_END);
const _: () = assert!(STUBS + 2 * REAL_VECTORS as u32 + UPPER <= REAL_TABLE);
const _: () = assert!(REAL_TABLE as usize + REAL_TABLE_SIZE <= PAGE_SIZE as usize);
const _: () = assert!(FIRMWARE.start > REAL_MODE_END);

#[cfg(test)]
mod tests {
    use guestlab_cpu::{Cpu, Engine, MemoryPlan};
    use guestlab_soft::Soft;

    use super::*;
    use crate::image::{ImageFormat, Request};

    fn image(len: usize, load: u32) -> Image {
        let (format, mode) = (Some(ImageFormat::Flat), Some(CpuMode::Real));
        let request = Request { format, mode, load: Some(load), entry: None };
        Image::parse("x", vec![0x90; len], request).expect("an image")
    }

    type Loaded = (Vectors, Option<Tables>);

    fn in_real_mode(len: usize, load: u32, size: u32) -> (Box<dyn Cpu>, Option<Loaded>) {
        let image = image(len, load);
        let mut guest = guest(size);
        image.load(guest.memory_mut(), size).expect("it fits");
        let vectors = Vectors::in_real_mode(guest.memory_mut(), &image, size).expect("it is memory");
        (guest, vectors)
    }

    /// A guest with a page behind its memory.
    fn guest(size: u32) -> Box<dyn Cpu> {
        Soft.create(&MemoryPlan::below(u64::from(size + PAGE_SIZE))).expect("memory")
    }

    fn registers_at(ip: u64) -> CpuState {
        CpuState::real(0).at(ip).in_segments(CpuMode::Protected, 32, 0, 0)
    }

    #[test]
    fn real_modes_table_is_filled_unless_the_image_is_there() {
        for (load, size, segment) in
            [(0x7C00, 0x20_0000, 0xFF00), (0x400, 0x20_0000, 0xFF00), (0x7C00, 0x1_0000, 0x1000)]
        {
            let (guest, vectors) = in_real_mode(0x200, load, size);
            let (vectors, tables) = vectors.expect("there is room");
            assert_eq!(tables, None);
            let entry = read_record::<[u16; 2]>(guest.memory(), 4 * 0x10).expect("memory");
            assert_eq!(entry, [0x420, segment]);
            let stub = u64::from(segment) * 16 + 0x420;
            for (at, vector) in [(0, Some(0x10)), (1, Some(0x10)), (2, Some(0x11)), (2 * 0xF0, None)] {
                assert_eq!(vectors.reached(&registers_at(stub + at)), vector, "{at}");
            }
            assert_eq!(
                read_record::<[u8; 2]>(guest.memory(), u32::from(segment) * 16 + 0x420).expect("memory"),
                STUB
            );
        }
    }

    #[test]
    fn an_image_at_real_modes_table_stays_as_it_is() {
        let (mut guest, vectors) = in_real_mode(0x20, 0, 0x20_0000);
        let (vectors, tables) = vectors.expect("there is room");
        assert_eq!(tables.expect("another table").vectors, Table { base: 0xF_F800, limit: 0x3FF });
        assert_eq!(
            read_record::<[u8; 36]>(guest.memory(), 0).expect("memory")[30..],
            [0x90, 0x90, 0, 0, 0, 0]
        );
        assert_eq!(vectors.own_handler(guest.memory(), 0x21), None);
        assert_eq!(vectors.own_handler(guest.memory(), 0), None, "the image's code is no handler");
        guest.memory_mut().write(4 * 0x21, &[0x34, 0x12, 0x78, 0x56]).expect("memory");
        assert_eq!(vectors.own_handler(guest.memory(), 0x21), Some((0x5678, 0x1234)));
    }

    #[test]
    fn handlers_of_real_mode_do_not_overlap_the_image() {
        let page = |len, load| real_page(&image(len, load), 0x20_0000);
        assert_eq!(page(1, 0), Some(0xF_F000));
        assert_eq!(page(0x10_0000, 0x8000), None);
        assert_eq!(page(0xF_0000, 0x8000), Some(0xF_F000));
    }

    #[test]
    fn a_frame_at_the_end_of_the_stack_segment_is_read() {
        // A guest that was in 64-bit code can leave any high bits in RSP.
        let mut now = CpuState::real(0).at(0x1000);
        now.general[Trap::STACK_POINTER] = u64::MAX - 5;
        let interruption = Interruption::of(guest(0x20_0000).memory(), &now, 6).expect("it is memory");
        assert_eq!(interruption.registers.general[Trap::STACK_POINTER], u64::MAX - 0xFFFF);
    }

    #[test]
    fn a_gate_has_the_handlers_address_in_pieces() {
        assert_eq!(gate(6, 0x1234_5678, false), [0x78, 0x56, 8, 0, 0, 0x8E, 0x34, 0x12]);
        assert_eq!(gate(8, 0x1234_5678, false)[2..4], [0x10, 0], "a double fault");
        assert_eq!(gate(8, 0x1234_5678, true)[..8], [0x78, 0x56, 8, 0, 1, 0x8E, 0x34, 0x12]);
        assert_eq!(gate(8, 0x1234_5678, true)[8..], [0; 8]);
        assert_eq!(task_descriptor(0x1234_5678), 0x1200_8B34_5678_0067);
    }

    #[test]
    fn the_page_of_other_modes_holds_segments_vectors_and_handlers() {
        for mode in [CpuMode::Protected, CpuMode::Paged, CpuMode::Long] {
            let mut guest = guest(0x20_0000);
            let (vectors, tables) = Vectors::in_page(guest.memory_mut(), mode, 0x20_0000).expect("a page");
            assert_eq!(tables.segments, Some(Table { base: 0x20_0100, limit: 39 }));
            assert_eq!(tables.task.is_some(), mode == CpuMode::Long);
            assert_eq!(vectors.reached(&registers_at(0x20_0400 + 2 * 13 + 1)), Some(13));
            let code = read_record::<u64>(guest.memory(), 0x20_0108).expect("memory");
            assert_eq!(
                code,
                if mode == CpuMode::Long { 0x00AF_9B00_0000_FFFF } else { 0x00CF_9B00_0000_FFFF }
            );
        }
    }
}
