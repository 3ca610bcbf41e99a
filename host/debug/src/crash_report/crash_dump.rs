//! The state of a machine whose guest has ended, captured for a report.

use std::{ops::Range, rc::Rc, sync::Arc};

use guest_abi::mode::CpuMode;
use guestlab_cpu::{CpuState, Exit};
use guestlab_vmm::{History, Image};
use object::{Object, ObjectSegment};
use x86_64::registers::rflags::RFlags;

use super::{
    backtrace,
    last::LastInstructions,
    symbols::{self, Piece, Written},
};

/// The bytes of code before and behind the instruction pointer that are kept.
const CODE_BEFORE: u64 = 4096;
const CODE_AFTER: usize = 64;

/// The parts of an image that a report needs.
#[derive(Clone, Debug)]
pub struct ImageInfo {
    pub(super) mode: CpuMode,
    pub(super) foreign: bool,
    pub(super) file: Arc<Vec<u8>>,
    pub(super) code: Vec<(u64, u64)>,
}

impl ImageInfo {
    /// Returns the parts of this image.
    pub fn of(image: &Image) -> Self {
        let (start, file) = (image.start(), Arc::clone(image.file()));
        Self { mode: start.mode(), foreign: start.is_foreign(), file, code: image.ranges().collect() }
    }

    /// Returns true if the image was not built with guest-rt.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Returns true if the file is an ELF file, and not a flat binary.
    pub fn is_elf(&self) -> bool {
        self.file.starts_with(&object::elf::ELFMAG)
    }

    /// Returns the linear addresses for which an ELF file has bytes, in the order of their ends.
    pub fn loaded(&self) -> Vec<Range<u64>> {
        let Ok(elf) = object::File::parse(&**self.file) else { return Vec::new() };
        let mut ranges: Vec<_> = elf
            .segments()
            .map(|segment| segment.address()..segment.address().saturating_add(segment.file_range().1))
            .collect();
        ranges.sort_by_key(|range| range.start);
        let mut end = 0;
        for range in &mut ranges {
            end = end.max(range.end);
            range.end = end;
        }
        ranges
    }

    /// Returns the pieces of its code that have a name.
    pub fn pieces(&self) -> Vec<Piece> {
        symbols::pieces(&self.file)
    }

    /// Returns the source of the instruction at each of these addresses, as far as the image has it. Inlined functions
    /// have their own names and lines.
    pub fn sources(&self, addresses: impl IntoIterator<Item = u64>) -> Vec<Written> {
        symbols::written_in(&self.file, addresses)
    }

    /// Returns the functions at each of these addresses, the innermost first, as far as the image has debug information. There
    /// are several if functions were inlined.
    pub fn functions(&self, addresses: impl IntoIterator<Item = u64>) -> Vec<Vec<Rc<str>>> {
        symbols::functions_at(&self.file, addresses)
    }

    fn is_code(&self, address: u64) -> bool {
        self.code.iter().any(|&(start, end)| (start..end).contains(&address))
    }
}

/// The state of a machine after the end of its guest.
#[derive(Clone, Debug)]
pub struct CrashDump {
    pub(super) image: ImageInfo,
    /// The registers, unless they are those of a CPU that was reset.
    pub(super) registers: Option<CpuState>,
    /// The address of the copied code, and its bytes.
    pub(super) code: (u64, Vec<u8>),
    /// The return addresses, the innermost first.
    pub(super) callers: Vec<u64>,
    /// The last exits, the newest last.
    pub(super) exits: Vec<Exit>,
    /// The last instructions, if they were kept.
    pub(super) last: LastInstructions,
    /// The timer's interrupt was due, and the guest had interrupts off.
    pub(super) is_deaf: bool,
    /// The registers are those just before the instruction of the crash.
    pub(super) is_exact: bool,
}

impl CrashDump {
    /// Takes a dump. `read` copies a piece of the guest's memory from a linear address, all or nothing. `registers` are
    /// `None` if they are lost.
    pub fn take(
        image: &ImageInfo,
        registers: Option<CpuState>,
        history: &History,
        read: impl Fn(u64, &mut [u8]) -> bool,
    ) -> Self {
        let (code, callers) = match &registers {
            None => ((0, Vec::new()), Vec::new()),
            Some(registers) => {
                (code_around(registers.instruction(), &read), callers(image, registers, &read))
            }
        };
        let exits = history.iter().cloned().collect();
        Self {
            image: image.clone(),
            registers,
            code,
            callers,
            exits,
            last: LastInstructions::default(),
            is_deaf: false,
            is_exact: false,
        }
    }

    /// Returns this dump, marked: its registers are those just before the instruction of the crash.
    #[must_use]
    pub fn of_this_instruction(self) -> Self {
        Self { is_exact: true, ..self }
    }

    /// Returns this dump with the last instructions.
    #[must_use]
    pub fn with_last(self, last: LastInstructions) -> Self {
        Self { last, ..self }
    }

    /// Returns true if the guest runs through empty memory.
    pub fn is_in_zeros(&self) -> bool {
        /// The bytes that are looked at.
        const SOME: usize = 16;
        let registers = self.registers.as_ref();
        let code = registers.map_or(Vec::new(), |registers| self.code_at(registers.instruction(), SOME));
        code.len() == SOME && code.iter().all(|&byte| byte == 0)
    }

    /// Returns true if the guest is at an instruction that some KVM modules repeat forever: `vmcall`, and in real mode an
    /// `int` of a vector from 0x80 on.
    pub fn may_be_repeated(&self) -> bool {
        let Some(registers) = &self.registers else { return false };
        match *self.code_at(registers.instruction(), 3) {
            [0x0F, 0x01, 0xC1] => true,
            [0xCD, 0x80..=0xFF, ..] => registers.mode() == CpuMode::Real,
            _ => false,
        }
    }

    /// Returns this dump, marked: the timer's interrupt is due, if `is_due`.
    #[must_use]
    pub fn with_timer(self, is_due: bool) -> Self {
        let is_deaf = is_due && self.registers.is_some() && !self.takes_interrupts();
        Self { is_deaf, ..self }
    }

    /// Returns the image.
    pub fn image(&self) -> &ImageInfo {
        &self.image
    }

    /// Returns the port that the guest read, if that was the last exit that it caused.
    pub fn last_read(&self) -> Option<u16> {
        match self.exits.iter().rfind(|exit| !matches!(exit, Exit::Interrupted)) {
            Some(Exit::In { port, .. }) => Some(*port),
            _ => None,
        }
    }

    /// Returns the registers, unless they are lost. Those of the FPU may be missing.
    pub fn registers(&self) -> Option<&CpuState> {
        self.registers.as_ref()
    }

    /// Returns true if interrupts were on. Unknown registers count as off.
    pub fn takes_interrupts(&self) -> bool {
        let flags = self.registers.as_ref().map_or(0, |registers| registers.flags);
        flags & RFlags::INTERRUPT_FLAG.bits() != 0
    }

    /// Returns true if the timer's interrupt was due, and the guest had interrupts off.
    pub fn is_deaf(&self) -> bool {
        self.is_deaf
    }
}

/// Copies the code around an address, as far as it is memory. Returns its address and its bytes.
fn code_around(address: u64, read: &impl Fn(u64, &mut [u8]) -> bool) -> (u64, Vec<u8>) {
    let mut behind = [0; CODE_AFTER];
    let len = (1..=CODE_AFTER).rev().find(|&len| read(address, &mut behind[..len])).unwrap_or(0);
    let mut before = vec![0; usize::try_from(address.min(CODE_BEFORE)).unwrap_or(0)];
    // Memory may begin anywhere: try with half of the bytes.
    while !before.is_empty() && !read(address - before.len() as u64, &mut before) {
        before.truncate(before.len() / 2);
    }
    let start = address - before.len() as u64;
    before.extend_from_slice(&behind[..len]);
    (start, before)
}

fn callers(image: &ImageInfo, registers: &CpuState, read: &impl Fn(u64, &mut [u8]) -> bool) -> Vec<u64> {
    let word = if registers.mode() == CpuMode::Long { 8 } else { 4 };
    let start = backtrace::Start {
        instruction: registers.instruction(),
        stack: registers.stack(),
        frame: registers.frame(),
        word,
    };
    let read = |address: u64| {
        let mut bytes = [0; 8];
        read(address, &mut bytes[..usize::try_from(word).ok()?]).then(|| u64::from_le_bytes(bytes))
    };
    backtrace::callers(start, read, |address| image.is_code(address))
}
