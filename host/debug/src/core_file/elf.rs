//! The headers of a core file in ELF's form (System V ABI, "ELF Header" and "Program Header"), little-endian.

use object::elf::{
    ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_386, EM_X86_64, ET_CORE, EV_CURRENT, Ident, PF_R, PF_W,
    PF_X, PT_LOAD, PT_NOTE,
};

/// The width of a core file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Bits32,
    Bits64,
}

/// A field of a header: a number of 16 or 32 bits, or one as wide as an address.
enum Field {
    Half(u16),
    Word(u32),
    Address(u64),
}
use Field::{Address, Half, Word};

impl Class {
    /// Returns the size of the file's header in bytes.
    pub(super) fn header_size(self) -> u16 {
        match self {
            Self::Bits32 => 52,
            Self::Bits64 => 64,
        }
    }

    /// Returns the size of the header of a part in bytes.
    pub(super) fn part_size(self) -> u16 {
        match self {
            Self::Bits32 => 32,
            Self::Bits64 => 56,
        }
    }

    /// Returns the file's header. Headers of so many parts follow it.
    pub(super) fn header(self, parts: u16) -> Vec<u8> {
        let (class, machine) = match self {
            Self::Bits32 => (ELFCLASS32, EM_386),
            Self::Bits64 => (ELFCLASS64, EM_X86_64),
        };
        let mut header = [&ELFMAG[..], &[class.0, ELFDATA2LSB.0, EV_CURRENT.0]].concat();
        header.resize(size_of::<Ident>(), 0);
        let own = self.header_size();
        header.extend(self.bytes(&[
            Half(ET_CORE.0),
            Half(machine.0),
            Word(EV_CURRENT.0.into()),
            // No entry. The headers of the parts, and no sections.
            Address(0),
            Address(own.into()),
            Address(0),
            Word(0),
            Half(own),
            Half(self.part_size()),
            Half(parts),
            Half(0),
            Half(0),
            Half(0),
        ]));
        header
    }

    /// Returns the header of the notes.
    pub(super) fn notes(self, offset: u64, size: u64) -> Vec<u8> {
        self.part(PT_NOTE.0, PF_R.0, [offset, 0, 0, size, 0], 4)
    }

    /// Returns the header of memory at a linear address.
    pub(super) fn memory(self, offset: u64, linear: u64, file_size: u64, size: u64, align: u64) -> Vec<u8> {
        self.part(PT_LOAD.0, (PF_R | PF_W | PF_X).0, [offset, linear, 0, file_size, size], align)
    }

    /// The addresses are offset, linear and physical address, size in the file and in memory.
    fn part(self, kind: u32, flags: u32, addresses: [u64; 5], align: u64) -> Vec<u8> {
        let addresses = addresses.map(Address);
        let mut fields = vec![Word(kind)];
        match self {
            Self::Bits32 => fields.extend(addresses.into_iter().chain([Word(flags)])),
            Self::Bits64 => fields.extend([Word(flags)].into_iter().chain(addresses)),
        }
        fields.push(Address(align));
        self.bytes(&fields)
    }

    fn bytes(self, fields: &[Field]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in fields {
            match *field {
                Half(value) => bytes.extend(value.to_le_bytes()),
                Word(value) => bytes.extend(value.to_le_bytes()),
                Address(value) => bytes.extend(self.word(value)),
            }
        }
        bytes
    }

    /// Returns a number that is as wide as an address, or its low bits.
    pub(super) fn word(self, value: u64) -> impl Iterator<Item = u8> {
        value.to_le_bytes().into_iter().take(if self == Self::Bits32 { 4 } else { 8 })
    }
}

#[cfg(test)]
mod tests {
    use object::read::elf::{FileHeader, ProgramHeader};
    use object::{
        Endianness,
        elf::{FileHeader32, FileHeader64},
    };

    use super::*;

    fn parsed<H: FileHeader<Endian = Endianness>>(class: Class) {
        let file =
            [class.header(2), class.notes(0x90, 16), class.memory(0x1000, 0x7000, 0x2000, 0x3000, 0x1000)];
        let mut file = file.concat();
        file.resize(0x3000, 0);
        let header = H::parse(&*file).expect("a header");
        let little = Endianness::Little;
        assert_eq!((header.e_type(little), header.e_ehsize(little)), (ET_CORE, class.header_size()));
        let [notes, memory] = header.program_headers(little, &*file).expect("headers") else {
            panic!("two of them")
        };
        assert_eq!((notes.p_type(little), notes.file_range(little)), (PT_NOTE, (0x90, 16)));
        assert_eq!((memory.p_type(little), memory.file_range(little)), (PT_LOAD, (0x1000, 0x2000)));
        let addresses = [memory.p_vaddr(little), memory.p_memsz(little), memory.p_align(little)];
        assert_eq!(addresses.map(Into::<u64>::into), [0x7000, 0x3000, 0x1000]);
    }

    #[test]
    fn headers_of_both_widths_are_read_back() {
        parsed::<FileHeader32<Endianness>>(Class::Bits32);
        parsed::<FileHeader64<Endianness>>(Class::Bits64);
    }
}
