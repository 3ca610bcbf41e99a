//! Core files: the state of a guest that has ended, in ELF's form, for gdb (`gdb GUEST CORE`).
//!
//! Addresses and registers are those that gdb sees over the remote protocol. The memory is at its linear addresses, as the
//! page tables have it. Zeros take no place in the file.

mod memory;
mod notes;

use std::io::{self, Write};

use guest_abi::{layout::PAGE_SIZE, mode::CpuMode};
use guestlab_cpu::{CpuState, GuestMemory};
use guestlab_process::signals;
use guestlab_runlog::text::escape_line;
use guestlab_vmm::Machine;
use object::{
    Endianness, elf,
    write::{
        StreamingBuffer, WritableBuffer,
        elf::{Encoder, FileHeader, FileHeaderLayout, ProgramHeader},
    },
};

use crate::crash_report::CrashDump;
pub(crate) use memory::pieces;
use memory::{Part, parts};

/// The signal that gdb names as the reason of the end, by its number on Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Signal {
    /// An instruction that does not exist.
    Ill = 4,
    /// A breakpoint or a single step.
    Trap = 5,
    /// A panic.
    Abort = 6,
    /// An arithmetic fault.
    Fpe = 8,
    /// Any other crash.
    Segv = 11,
    /// The time was up.
    Alarm = 14,
    /// The number of exits was up.
    CpuLimit = 24,
}

/// The width of a core file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Bits32,
    Bits64,
}

/// A guest that has ended, for a core file.
pub struct Core {
    class: Class,
    notes: Vec<u8>,
    parts: Vec<Part>,
    is_cut_off: bool,
}

impl Core {
    /// Returns the core of a guest with this evidence. The machine must not run before the core is written.
    pub fn of(machine: &mut Machine, evidence: &CrashDump, signal: Option<Signal>) -> Self {
        // The evidence has the registers of the instruction that is to blame, without those of the FPU.
        let fpu = machine.cpu_mut().state().ok().map(|state| state.fpu);
        let registers = evidence.registers().cloned();
        let registers = registers.map(|registers| match fpu {
            Some(fpu) => CpuState { fpu, ..registers },
            None => registers,
        });
        let is_long = machine.mode() == CpuMode::Long || registers.as_ref().is_some_and(CpuState::is_long);
        let class = if is_long { Class::Bits64 } else { Class::Bits32 };
        let name = escape_line(machine.name()).to_string();
        let mode = registers.as_ref().map_or(machine.mode(), CpuState::mode).name();
        let arguments = format!("{name} (VM {}, {mode} mode)", machine.vm());
        let notes = notes::notes(class, &name, &arguments, signal, registers.as_ref());
        let memory = machine.cpu().memory();
        let (pieces, some_left_out) =
            pieces(registers.as_ref(), memory, &machine.layout().plan(), !machine.is_foreign());
        let image = evidence.image().loaded();
        let (parts, more_left_out) = parts(&pieces, memory, |page| {
            let next = image.partition_point(|range| range.end <= page);
            image.get(next).is_some_and(|range| range.start < page + u64::from(PAGE_SIZE))
        });
        Self { class, notes, parts, is_cut_off: some_left_out || more_left_out }
    }

    /// Returns true if the guest has mapped more memory than a core file may have, so that some is left out.
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// Writes the file. `memory` is the machine's.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or a signal asks this process to end.
    pub fn write(&self, memory: &dyn GuestMemory, file: &mut dyn Write) -> io::Result<()> {
        let mut buffer = StreamingBuffer::new(&mut *file);
        self.write_headers(&mut buffer).map_err(io::Error::other)?;
        buffer.result()?;
        let mut bytes = Vec::new();
        for range in self.parts.iter().flat_map(Part::contents) {
            if signals::signal().is_some() {
                return Err(io::Error::other("a signal asks this program to end"));
            }
            bytes.resize(usize::try_from(range.end - range.start).unwrap_or_default(), 0);
            memory.read(range.start, &mut bytes).map_err(io::Error::other)?;
            file.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Writes what is before the memory: the headers and the notes.
    fn write_headers(&self, buffer: &mut impl WritableBuffer) -> object::write::Result<()> {
        let machine = if self.class == Class::Bits64 { elf::EM_X86_64 } else { elf::EM_386 };
        let encoder = Encoder::new(Endianness::Little, self.class == Class::Bits64, machine);
        let segment_num = u32::try_from(self.parts.len() + 1).unwrap_or(u32::MAX);
        let header = FileHeader {
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            e_type: elf::ET_CORE,
            e_machine: machine,
            e_entry: 0,
            e_flags: elf::FileFlags(0),
        };
        let e_phoff = encoder.file_header_size();
        let layout = FileHeaderLayout { e_phoff, segment_num, e_shoff: 0, section_num: 0, shstrtab_index: 0 };
        encoder.file_header(buffer, &header, &layout)?;
        let notes = e_phoff + u64::from(segment_num) * encoder.program_header_size();
        let notes_size = self.notes.len() as u64;
        let memory = (notes + notes_size).next_multiple_of(PAGE_SIZE.into());
        let note = ProgramHeader {
            p_type: elf::PT_NOTE,
            p_flags: elf::PF_R,
            p_offset: notes,
            p_vaddr: 0,
            p_paddr: 0,
            p_filesz: notes_size,
            p_memsz: 0,
            p_align: 4,
        };
        encoder.program_header(buffer, &note);
        let mut p_offset = memory;
        for part in &self.parts {
            encoder.program_header(
                buffer,
                &ProgramHeader {
                    p_type: elf::PT_LOAD,
                    p_flags: elf::PF_R | elf::PF_W | elf::PF_X,
                    p_offset,
                    p_vaddr: part.linear,
                    p_paddr: 0,
                    p_filesz: part.file_size,
                    p_memsz: part.size,
                    p_align: PAGE_SIZE.into(),
                },
            );
            p_offset += part.file_size;
        }
        buffer.write_bytes(&self.notes);
        buffer.write_zeros(memory - notes - notes_size);
        Ok(())
    }
}
