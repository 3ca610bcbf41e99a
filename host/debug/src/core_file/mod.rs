//! Core files: the state of a guest that has ended, in ELF's form, for gdb (`gdb GUEST CORE`).
//!
//! Addresses and registers are those that gdb sees over the remote protocol. The memory is at its linear addresses, as the
//! page tables have it. Zeros take no place in the file.

mod elf;
mod memory;
mod notes;
mod signal;

use std::{
    io::{self, Write},
    path::Path,
};

use crate::crash_report::CrashDump;
use elf::Class;
use guest_abi::{layout::PAGE_SIZE, mode::CpuMode};
use guestlab_cpu::{CpuState, GuestMemory};
use guestlab_process::signals;
use guestlab_runlog::text::escape_line;
use guestlab_vmm::Machine;
pub(crate) use memory::pieces;
use memory::{Part, parts};
pub use signal::Signal;

/// A guest that has ended, for a core file.
pub struct Core {
    class: Class,
    notes: Vec<u8>,
    parts: Vec<Part>,
    is_cut_off: bool,
}

impl Core {
    /// Returns the core of a guest with this evidence, from an image in this file. The machine must not run before the core
    /// is written.
    pub fn of(machine: &mut Machine, file: &Path, evidence: &CrashDump, signal: Option<Signal>) -> Self {
        // The evidence has the registers of the instruction that is to blame, without those of the FPU.
        let fpu = machine.cpu_mut().state().ok().map(|state| state.fpu);
        let registers = evidence.registers().cloned();
        let registers = registers.map(|registers| match fpu {
            Some(fpu) => CpuState { fpu, ..registers },
            None => registers,
        });
        let is_long = machine.mode() == CpuMode::Long || registers.as_ref().is_some_and(CpuState::is_long);
        let class = if is_long { Class::Bits64 } else { Class::Bits32 };
        let file = file.file_name().unwrap_or_default().to_string_lossy();
        let name = escape_line(machine.name());
        let mode = registers.as_ref().map_or(machine.mode(), CpuState::mode).name();
        let arguments = format!("{name} (VM {}, {mode} mode)", machine.vm());
        let notes =
            notes::notes(class, &escape_line(&file).to_string(), &arguments, signal, registers.as_ref());
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
        file.write_all(&self.beginning())?;
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

    /// Returns what is before the memory: the headers and the notes.
    fn beginning(&self) -> Vec<u8> {
        const PAGE: u64 = PAGE_SIZE as u64;
        let class = self.class;
        let count = u16::try_from(self.parts.len() + 1).unwrap_or(u16::MAX);
        let (notes, size) = (
            u64::from(class.header_size()) + u64::from(count) * u64::from(class.part_size()),
            self.notes.len() as u64,
        );
        let mut offset = (notes + size).next_multiple_of(PAGE);
        let mut bytes = [class.header(count), class.notes(notes, size)].concat();
        let memory = usize::try_from(offset).unwrap_or_default();
        for part in &self.parts {
            bytes.extend(class.memory(offset, part.linear, part.file_size, part.size, PAGE));
            offset += part.file_size;
        }
        bytes.extend(&self.notes);
        bytes.resize(memory, 0);
        bytes
    }
}
