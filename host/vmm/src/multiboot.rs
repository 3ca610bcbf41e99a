//! The start of a Multiboot 1 kernel (Multiboot Specification 0.6.96).

use guest_abi::{
    layout::{self, PAGE_SIZE},
    mode::CpuMode,
};
use guestlab_cpu::{CpuState, GuestMemory, state::reg};

use crate::{boot_error::BootError, image::Image, vectors::Vectors};

/// The value of EAX at the start of a Multiboot kernel (Multiboot Specification 0.6.96, 3.2 "Machine state").
const MULTIBOOT_MAGIC: u32 = 0x2BAD_B002;

/// A Multiboot kernel: protected mode, and in EBX where the boot information is.
pub(crate) fn multiboot(
    memory: &mut dyn GuestMemory,
    image: &Image,
    entry: u32,
    size: u32,
    arguments: &[String],
) -> Result<(CpuState, Vectors), BootError> {
    let command_line = arguments.join(" ");
    let len = command_line.len() + 1;
    if len > layout::MAX_ARGUMENTS_SIZE as usize {
        return Err(BootError::Arguments { len });
    }
    let info = info_page(image, size);
    memory.write(info.into(), &multiboot_info(info, size, &command_line))?;
    let mode = CpuMode::Protected;
    // The specification leaves the tables of segments and vectors to the boot loader (3.2 again).
    let (vectors, tables) = Vectors::in_page(memory, mode, size)?;
    let mut cpu = tables.loaded_by(CpuState::flat(mode, entry, size, 0));
    (cpu.general[reg::RAX], cpu.general[reg::RBX]) = (MULTIBOOT_MAGIC.into(), info.into());
    Ok((cpu, vectors))
}

/// The end of the low memory of a PC.
const LOW_MEMORY_END: u32 = 640 << 10;

/// Returns the page for the boot information: a free page in low memory, which kernels keep mapped. QEMU uses 0x9000. The
/// page is behind the guest's memory if the image fills low memory.
fn info_page(image: &Image, size: u32) -> u32 {
    // The stack begins at the end of memory.
    let pages = (1..(size.min(LOW_MEMORY_END) / PAGE_SIZE).saturating_sub(1)).map(|page| page * PAGE_SIZE);
    let free = pages.filter(|&page| !image.takes(page));
    free.min_by_key(|page| page.abs_diff(0x9000)).unwrap_or(size + PAGE_SIZE)
}

/// The boot information (Multiboot Specification 0.6.96, 3.3 "Boot information format") at `address`:
/// the amount of memory, the command line, a memory map of one piece, and our name.
fn multiboot_info(address: u32, size: u32, command_line: &str) -> Vec<u8> {
    const MEMORY: u32 = 1 << 0;
    const COMMAND_LINE: u32 = 1 << 2;
    const MEMORY_MAP: u32 = 1 << 6;
    const LOADER_NAME: u32 = 1 << 9;
    /// The structure's words, up to and with the loader's name.
    const WORDS: usize = 17;
    /// Behind the structure: the map's one piece (its size, address, length and kind), our name, and the
    /// command line.
    const MAP_AT: u32 = 68;
    const _: () = assert!(MAP_AT as usize == 4 * WORDS);
    const MAP_SIZE: u32 = 24;
    const NAME_SIZE: u32 = 9;
    const NAME: &[u8; NAME_SIZE as usize] = b"guestlab\0";
    let name = address + MAP_AT + MAP_SIZE;
    let kib = |bytes: u32| bytes >> 10;
    let mut words = [0; WORDS];
    words[0] = MEMORY | COMMAND_LINE | MEMORY_MAP | LOADER_NAME;
    words[1] = kib(size).min(kib(LOW_MEMORY_END));
    words[2] = kib(size).saturating_sub(1024);
    words[4] = name + NAME_SIZE;
    words[11] = MAP_SIZE;
    words[12] = address + MAP_AT;
    words[16] = name;
    let map = [20, 0, 0, size, 0, 1];
    let mut bytes: Vec<u8> = words.iter().chain(&map).flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(NAME);
    bytes.extend(command_line.as_bytes());
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use guestlab_cpu::{Cpu, Engine, MemoryPlan};
    use guestlab_soft::Soft;

    use super::*;
    use crate::image::Request;

    /// A guest with the host's two pages behind its memory.
    fn guest(size: u32) -> Box<dyn Cpu> {
        Soft.create(&MemoryPlan::below(u64::from(size + 2 * PAGE_SIZE))).expect("memory")
    }

    #[test]
    fn multiboot_information_names_memory_map_and_command_line() {
        let info = multiboot_info(0x9000, 0x20_0000, "one two");
        let word = |at: usize| u32::from_le_bytes(info[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((word(4), word(8)), (640, 1024));
        assert_eq!((word(44), word(48)), (24, 0x9000 + 68));
        assert_eq!([word(68), word(72), word(80), word(88)], [20, 0, 0x20_0000, 1]);
        assert!(info[(word(64) - 0x9000) as usize..].starts_with(b"guestlab\0"));
        assert_eq!(&info[(word(16) - 0x9000) as usize..], b"one two\0");
    }

    /// A Multiboot kernel of `len` bytes at `load`.
    fn kernel(load: u32, len: usize) -> Image {
        const FLAGS: u32 = 1 << 16;
        let words = [0x1BAD_B002, FLAGS, 0_u32.wrapping_sub(0x1BAD_B002 + FLAGS), load, load, 0, 0, load];
        let mut file: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        file.resize(len, 0xF4);
        Image::parse("x", file, Request::default()).expect("an image")
    }

    #[test]
    fn multiboot_information_overlaps_neither_image_nor_stack() {
        for (load, len, size, info) in [
            (0x10_0000, 0x1000, 0x20_0000, 0x9000),
            (0x8000, 0x2000, 0x20_0000, 0xA000),
            (0x1000, 0xF_F000, 0x20_0000, 0x20_1000),
            (0x1000, 0x9000, 0xC000, 0xA000),
            (0x1000, 0x9000, 0xB000, 0xC000),
        ] {
            let (image, arguments) = (kernel(load, len), ["a".to_owned(), "b".to_owned()]);
            let mut guest = guest(size);
            let (cpu, _) = multiboot(guest.memory_mut(), &image, load, size, &arguments).expect("it fits");
            let (eax, ebx, stack) = (cpu.general[reg::RAX], cpu.general[reg::RBX], cpu.general[reg::RSP]);
            assert_eq!((eax, ebx), (MULTIBOOT_MAGIC.into(), u64::from(info)), "{load:#x}");
            assert!(!image.takes(info) && guest.memory().contains(info.into(), PAGE_SIZE as usize));
            assert!(ebx > stack || ebx + u64::from(PAGE_SIZE) < stack, "{load:#x}");
        }
        let arguments = ["x".repeat(layout::MAX_ARGUMENTS_SIZE as usize)];
        let image = kernel(0x10_0000, 0x1000);
        let mut guest = guest(0x20_0000);
        let refused = multiboot(guest.memory_mut(), &image, 0x10_0000, 0x20_0000, &arguments);
        assert!(matches!(refused, Err(BootError::Arguments { .. })));
    }
}
