//! Kinds of files that cannot run as an image: each with its name, and with advice.

use object::elf::{self, Machine};

use super::error::Problem;

/// The first bytes of a recording, and of a run as JSON lines.
const RUN_START: &[u8] = br#"{"event":"#;

/// A kind of file, known by bytes at a place.
struct Known {
    at: usize,
    magic: &'static [u8],
    is: &'static str,
    mend: &'static str,
}

const fn known(at: usize, magic: &'static [u8], is: &'static str, mend: &'static str) -> Known {
    Known { at, magic, is, mend }
}

const UNPACK: &str = "unpack it first";
const KERNEL: &str = "boot loaders unpack it; run the ELF file that it was made of";
const BUILD_ELF: &str = "build a static ELF file for a bare machine, such as the target i686-unknown-none";
const PICK_FILE: &str = "take the kernel's own file out of it, an ELF file or a flat binary";
const BUILD_TEXT: &str = "run what it is built to";

/// The first that matches counts.
const KNOWN: [Known; 27] = [
    known(0x202, b"HdrS", "a Linux kernel (bzImage)", KERNEL),
    known(0, b"MZ", "a PE file (a program for UEFI or Windows)", BUILD_ELF),
    known(0, b"\x4C\x01", "a COFF object file", BUILD_ELF),
    known(0, b"\x64\x86", "a COFF object file", BUILD_ELF),
    known(0, b"\xCE\xFA\xED\xFE", "a Mach-O file", BUILD_ELF),
    known(0, b"\xCF\xFA\xED\xFE", "a Mach-O file", BUILD_ELF),
    known(0, b"\xCA\xFE\xBA\xBE", "a Mach-O file for several machines, or Java's", BUILD_ELF),
    known(0, b"\xBC\xC0\xDE", "LLVM bitcode", BUILD_ELF),
    known(0, b"\0asm", "a WebAssembly module", BUILD_ELF),
    known(0, b"\x07\x01\x64\0", "an a.out file", BUILD_ELF),
    known(0, b"\x08\x01\x64\0", "an a.out file", BUILD_ELF),
    known(0, b"\x0B\x01\x64\0", "an a.out file", BUILD_ELF),
    known(0, b"\xCC\0\x64\0", "an a.out file", BUILD_ELF),
    known(0, b"!<arch>\n", "a static library", "link it with a program: `ld -Ttext ADDRESS`"),
    known(0, b"\x1F\x8B", "a file packed by gzip", UNPACK),
    known(0, b"\xFD7zXZ\0", "a file packed by xz", UNPACK),
    known(0, b"\x28\xB5\x2F\xFD", "a file packed by zstd", UNPACK),
    known(0, b"BZh", "a file packed by bzip2", UNPACK),
    known(0, b"PK\x03\x04", "a ZIP archive", UNPACK),
    known(257, b"ustar", "a tar archive", UNPACK),
    known(0, b"QFI\xFB", "a disk image (qcow2)", PICK_FILE),
    known(0x8001, b"CD001", "a CD image (ISO 9660)", PICK_FILE),
    known(0x200, b"EFI PART", "a disk image with partitions (GPT)", PICK_FILE),
    known(
        510,
        b"\x55\xAA",
        "a boot sector, or a disk image that begins with one",
        "a boot sector alone is run with --format flat --mode real --load 0x7c00, without a BIOS and a disk",
    ),
    known(
        0,
        RUN_START,
        "the record of a run",
        "`cargo xtask replay FILE` runs it again, `cargo xtask view FILE` shows it",
    ),
    known(0, b"#!", "a script", BUILD_TEXT),
    known(0, b"\xEF\xBB\xBF", "a text file", BUILD_TEXT),
];

/// Returns the problem of a file that is not an ELF file.
pub(super) fn no_elf(file: &[u8]) -> Problem {
    let is = |known: &&Known| file.get(known.at..).is_some_and(|rest| rest.starts_with(known.magic));
    match KNOWN.iter().find(is) {
        Some(Known { is, mend, .. }) => Problem::Format { is, mend },
        None if file.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            Problem::Format { is: "a text file", mend: BUILD_TEXT }
        }
        None => Problem::NotElf,
    }
}

/// Returns the problem of an ELF file of another kind.
fn kind(is: impl Into<String>, mend: &'static str) -> Problem {
    Problem::Kind { is: is.into(), mend }
}

/// The name of a machine that ELF files are for.
fn machine_name(machine: Machine) -> &'static str {
    match machine {
        elf::EM_386 => "i386",
        elf::EM_X86_64 => "x86-64",
        elf::EM_ARM => "ARM",
        elf::EM_AARCH64 => "AArch64",
        elf::EM_RISCV => "RISC-V",
        elf::EM_MIPS => "MIPS",
        elf::EM_PPC => "PowerPC",
        elf::EM_PPC64 => "64-bit PowerPC",
        elf::EM_S390 => "S/390",
        elf::EM_SPARC | elf::EM_SPARC32PLUS | elf::EM_SPARCV9 => "SPARC",
        elf::EM_68K => "68000",
        elf::EM_SH => "SuperH",
        elf::EM_IA_64 => "Itanium",
        elf::EM_LOONGARCH => "LoongArch",
        elf::EM_AVR => "AVR",
        elf::EM_MSP430 => "MSP430",
        elf::EM_XTENSA => "Xtensa",
        elf::EM_BPF => "BPF",
        _ => "unknown here",
    }
}

/// Checks that an ELF file is little-endian and for an x86 CPU.
pub(super) fn check_machine(machine: Machine, is_64: bool, little_endian: bool) -> Result<(), Problem> {
    const X86: &str = "guests are for x86: build it for that";
    let name = machine_name(machine);
    match (machine, is_64) {
        _ if !little_endian => Err(kind(format!("a big-endian ELF file, for machine {name}"), X86)),
        (elf::EM_386, false) | (elf::EM_X86_64, true) => Ok(()),
        (elf::EM_X86_64, false) => Err(kind(
            "an x32 ELF file, which has 64-bit code in a 32-bit file",
            "build it with `gcc -m64` instead of -mx32 for long mode, or with `gcc -m32` for the other modes",
        )),
        (elf::EM_386, true) => Err(kind(
            "a 64-bit ELF file that is marked as i386 code",
            "link it with `ld -m elf_i386`, or build it with `gcc -m64` for long mode",
        )),
        _ => Err(kind(format!("an ELF file for another machine, {name} (number {})", machine.0), X86)),
    }
}

/// Checks that an ELF file is a program that runs at the addresses it was linked to.
pub(super) fn check_type(kind_of_file: elf::FileType, entry: u64) -> Result<(), Problem> {
    match kind_of_file {
        elf::ET_EXEC => Ok(()),
        elf::ET_DYN if entry == 0 => Err(kind(
            "a dynamic ELF file without an entry: a shared library",
            "link it without -shared, with `-static -no-pie -nostdlib`",
        )),
        elf::ET_DYN => Err(kind(
            "a dynamic or position-independent ELF file (a PIE or a shared library), which a loader must relocate",
            "link it with `-static -no-pie` (gcc; `ld` without -pie), or build it with \
             `-C relocation-model=static` (rustc)",
        )),
        elf::ET_REL => Err(kind(
            "an object file that was not linked",
            "link it, for example with `ld -Ttext ADDRESS -e _start` (32-bit: `-m elf_i386`)",
        )),
        elf::ET_CORE => Err(kind("a core dump", "run the program that it was written by")),
        other => Err(kind(format!("an ELF file of type {}", other.0), "guests are static executables")),
    }
}

/// Returns the problem of a program for an operating system.
pub(super) fn dynamic() -> Problem {
    kind(
        "a dynamically linked ELF file, which names a loader to run first (PT_INTERP)",
        "link it with `-static -nostdlib`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &[u8]) -> String {
        no_elf(file).to_string()
    }

    #[test]
    fn files_of_known_kinds_are_named() {
        let at = |at: usize, magic: &[u8]| [&vec![0; at], magic, &[0; 8]].concat();
        for Known { at: place, magic, is, mend } in &KNOWN {
            assert_eq!(text(&at(*place, magic)), format!("not an ELF file but {is}: {mend}"));
        }
        // A kernel with a UEFI stub is both, and a disk with partitions begins with a boot sector.
        let mut kernel = at(0x202, b"HdrS");
        kernel[..2].copy_from_slice(b"MZ");
        kernel[510..512].copy_from_slice(b"\x55\xAA");
        assert!(text(&kernel).contains("bzImage"));
        assert!(text(b"section .text\n\tglobal _start\n").contains("a text file"));
        assert!(text(&[0xFA; 100]).starts_with("not an ELF file; build guests with"));
    }

    #[test]
    fn boot_sectors_are_refused_with_advice() {
        let sector = [&[0xFA; 510][..], b"\x55\xAA"].concat();
        assert!(text(&sector).contains("--format flat --mode real --load 0x7c00"), "{}", text(&sector));
    }
}
