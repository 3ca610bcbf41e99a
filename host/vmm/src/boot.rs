//! How each kind of image comes to its first instruction: memory, what the host puts there, and
//! the CPU's state.
//!
//! A guest of guest-rt finds memory as [`guest_abi::layout`] draws it. One that others built finds
//! memory without holes from 0 to its size, and behind it pages of the host's: the text of the
//! exit counts with the host's [vectors](crate::vectors), then page tables, or the information of a boot loader.

use guest_abi::{
    boot::{self, BootInfo},
    layout::{self, PAGE_SIZE, REAL_MODE_END},
    mode::CpuMode,
};

use guestlab_cpu::{
    CpuState, EngineError, GuestMemory, OutOfMemory, Rights, Segment,
    identity::{FOUR_LEVELS_SIZE, LARGE_PAGE_32, four_levels, one_large_page},
    state::reg,
};

use crate::{
    image::{Image, Start},
    memory::{MemoryLayout, MemorySizeError, write_record},
    random,
    vectors::{Tables, Vectors},
};

/// A guest could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// No guest can have this much memory.
    #[error(transparent)]
    Size(#[from] MemorySizeError),
    /// An image lies where its mode does not reach.
    #[error(
        "the image ends at {end:#x}, and in paged mode, with its one page of 4 MiB, it may end at {limit:#x}: load it lower"
    )]
    OutOfReach {
        /// One past the image's last address.
        end: u64,
        /// One past the highest address that it may end at.
        limit: u64,
    },
    /// There are more arguments than there is room for.
    #[error(
        "the arguments have {len} bytes, the end of each included; a guest can be told {}",
        layout::MAX_ARGUMENTS_SIZE
    )]
    Arguments {
        /// Their length in bytes.
        len: usize,
    },
    /// A part of the image is not entirely inside guest memory.
    #[error("{address:#x}, {len} bytes, is not all in guest memory")]
    Range {
        /// The first address.
        address: u64,
        /// The number of bytes.
        len: u64,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The host's own pages are part of the memory that was asked for, so that this is a bug.
impl From<OutOfMemory> for BootError {
    fn from(_: OutOfMemory) -> Self {
        Self::Range { address: 0, len: 0 }
    }
}

/// The parameters that a guest starts with.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    /// The VM's number in its experiment, from 1.
    pub vm: u32,
    /// The run's seed.
    pub seed: u64,
    /// The guest's memory in bytes.
    pub memory: u32,
    /// The arguments of a guest of guest-rt, or the words of a Multiboot kernel's command line.
    pub arguments: &'a [String],
}

/// A guest that is ready to run: its memory holds the image and all that the host puts there.
pub struct Boot {
    /// The CPU's first state.
    pub cpu: CpuState,
    /// The address of the text of the exit counts.
    pub text: u32,
    /// The image was not built with guest-rt: it has the course's ports only, and ends with `hlt`.
    pub foreign: bool,
    /// The host's handlers of exceptions, which such images start with.
    pub vectors: Option<Vectors>,
}

/// Returns the layout of an image's memory: `size` bytes for the guest, and the host's own pages behind them.
///
/// # Errors
///
/// No guest can have this size.
pub fn memory_layout(image: &Image, size: u32) -> Result<MemoryLayout, MemorySizeError> {
    match image.start() {
        Start::Boot { .. } => MemoryLayout::guarded(size),
        Start::Direct { mode: CpuMode::Real | CpuMode::Protected, .. } => MemoryLayout::flat(size, PAGE_SIZE),
        Start::Direct { mode: CpuMode::Paged, .. } | Start::Multiboot { .. } => {
            MemoryLayout::flat(size, 2 * PAGE_SIZE)
        }
        Start::Direct { mode: CpuMode::Long, .. } => MemoryLayout::flat(size, PAGE_SIZE + FOUR_LEVELS_SIZE),
    }
}

impl Boot {
    /// Prepares a guest in memory with the [layout](memory_layout) of its image. The memory must be all zero.
    ///
    /// # Errors
    ///
    /// The image or the arguments do not fit.
    pub fn new(
        memory: &mut dyn GuestMemory,
        image: &Image,
        parameters: Parameters<'_>,
    ) -> Result<Self, BootError> {
        image.load(memory, parameters.memory)?;
        match image.start() {
            Start::Boot { entry, .. } => boot_image(memory, entry, parameters),
            Start::Direct { mode, entry } => direct(memory, image, mode, entry, parameters.memory),
            Start::Multiboot { entry } => multiboot(memory, image, entry, parameters),
        }
    }
}

/// A guest of guest-rt: its own boot code does the rest.
fn boot_image(
    memory: &mut dyn GuestMemory,
    entry: u16,
    parameters: Parameters<'_>,
) -> Result<Boot, BootError> {
    // Each argument ends with a NUL (guest_abi::arguments).
    let arguments: String = parameters.arguments.iter().flat_map(|argument| [argument, "\0"]).collect();
    let len = u32::try_from(arguments.len()).ok().filter(|&len| len <= layout::MAX_ARGUMENTS_SIZE);
    let len = len.ok_or(BootError::Arguments { len: arguments.len() })?;
    memory.write(layout::ARGUMENTS.into(), arguments.as_bytes())?;
    let info = BootInfo {
        magic: boot::MAGIC,
        memory: parameters.memory,
        vm: parameters.vm,
        seed: random::guest_seed(parameters.seed, parameters.vm),
        arguments: len,
    };
    write_record(memory, layout::BOOT_INFO, &info)?;
    Ok(Boot { cpu: CpuState::real(entry), text: layout::EXIT_TEXT, foreign: false, vectors: None })
}

/// A guest that finds itself in its mode: flat segments, the stack at the top of its memory.
fn direct(
    memory: &mut dyn GuestMemory,
    image: &Image,
    mode: CpuMode,
    entry: u32,
    size: u32,
) -> Result<Boot, BootError> {
    let page_table = size + PAGE_SIZE;
    match mode {
        CpuMode::Real | CpuMode::Protected => {}
        CpuMode::Paged => memory.write(page_table.into(), &one_large_page())?,
        CpuMode::Long => memory.write(page_table.into(), &four_levels(page_table))?,
    }
    let text = text_page(image, mode, size);
    let stack = match mode {
        // The stack pointer of 16-bit code is the low half of this: 0, so that the first push goes to
        // the end of the first 64 KiB.
        CpuMode::Real if size >= REAL_MODE_END => size - size % REAL_MODE_END,
        // One large page is all that there is; what lies above it is out of reach.
        CpuMode::Paged => size.min(text),
        _ => size,
    };
    if mode == CpuMode::Paged && image.end() > stack.into() {
        return Err(BootError::OutOfReach { end: image.end(), limit: stack.into() });
    }
    let (vectors, tables) = match mode {
        CpuMode::Real => Vectors::in_real_mode(memory, image, size)?.unzip(),
        _ => {
            let (vectors, tables) = Vectors::in_page(memory, mode, text)?;
            (Some(vectors), Some(Some(tables)))
        }
    };
    let cpu = with_tables(CpuState::flat(mode, entry, stack, page_table), tables.flatten());
    Ok(Boot { cpu, text, foreign: true, vectors })
}

/// The page for the text of the exit counts: where the mode reaches it, and neither image nor
/// stack is. Behind the guest's memory, where that will do.
fn text_page(image: &Image, mode: CpuMode, size: u32) -> u32 {
    match mode {
        // Below the page in which the stack begins, and not at 0, which is the vector table's. An
        // image that takes all of that finds the text behind its memory, where 16-bit code does not
        // reach it but can still have it printed.
        CpuMode::Real => (1..(size.min(REAL_MODE_END) / PAGE_SIZE).saturating_sub(1))
            .map(|page| page * PAGE_SIZE)
            .filter(|&page| !image.takes(page))
            .min_by_key(|page| page.abs_diff(0x7000))
            .unwrap_or(size),
        CpuMode::Paged => size.min(LARGE_PAGE_32 - PAGE_SIZE),
        CpuMode::Protected | CpuMode::Long => size,
    }
}

/// What a Multiboot kernel finds in EAX (Multiboot Specification 0.6.96, 3.2 "Machine state").
const MULTIBOOT_MAGIC: u32 = 0x2BAD_B002;

/// A Multiboot kernel: protected mode, and in EBX where the boot information is.
fn multiboot(
    memory: &mut dyn GuestMemory,
    image: &Image,
    entry: u32,
    parameters: Parameters<'_>,
) -> Result<Boot, BootError> {
    let size = parameters.memory;
    let command_line = parameters.arguments.join(" ");
    let len = command_line.len() + 1;
    if len > layout::MAX_ARGUMENTS_SIZE as usize {
        return Err(BootError::Arguments { len });
    }
    let info = info_page(image, size);
    memory.write(info.into(), &multiboot_info(info, size, &command_line))?;
    let mode = CpuMode::Protected;
    // What the tables of segments and vectors are is left open to us (3.2 again).
    let (vectors, tables) = Vectors::in_page(memory, mode, size)?;
    let mut cpu = with_tables(CpuState::flat(mode, entry, size, 0), Some(tables));
    (cpu.general[reg::RAX], cpu.general[reg::RBX]) = (MULTIBOOT_MAGIC.into(), info.into());
    Ok(Boot { cpu, text: size, foreign: true, vectors: Some(vectors) })
}

/// The end of the low memory of a PC.
const LOW_MEMORY_END: u32 = 640 << 10;

/// The page for the boot information: in low memory, which kernels keep mapped, where the image is not. QEMU
/// has it at 0x9000. Behind the guest's memory if the image takes all of that.
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

/// Returns a CPU's state with the host's tables. Without any, the first exception outside of real mode shuts the CPU
/// down.
fn with_tables(mut state: CpuState, tables: Option<Tables>) -> CpuState {
    let Some(Tables { segments, vectors, task }) = tables else { return state };
    state.gdt = segments.unwrap_or(state.gdt);
    state.idt = vectors;
    state.tr = task.map_or(state.tr, |(selector, start)| task_segment(selector, start));
    state
}

/// Returns the task-state segment of 64-bit mode (SDM volume 3A, 7.7), in use.
fn task_segment(selector: u16, start: u32) -> Segment {
    const SIZE: u32 = 104;
    Segment { selector, base: start.into(), limit: SIZE - 1, rights: Rights::BUSY_TSS }
}

#[cfg(test)]
mod tests {
    use guestlab_cpu::{Cpu, Engine};
    use guestlab_soft::Soft;

    use super::*;
    use crate::image::{ImageFormat, Request};

    fn flat(len: usize, load: u32, mode: CpuMode) -> Image {
        let request =
            Request { format: Some(ImageFormat::Flat), load: Some(load), mode: Some(mode), entry: None };
        Image::parse("x", vec![0x90; len], request).expect("an image")
    }

    fn guest(image: &Image, size: u32) -> Box<dyn Cpu> {
        let layout = memory_layout(image, size).expect("a size that guests can have");
        Soft.create(&layout.plan()).expect("memory")
    }

    fn boot_in(memory: &mut dyn GuestMemory, image: &Image, size: u32) -> Result<Boot, BootError> {
        Boot::new(memory, image, Parameters { vm: 1, seed: 1, memory: size, arguments: &[] })
    }

    fn boot(image: &Image, size: u32) -> Result<Boot, BootError> {
        boot_in(guest(image, size).memory_mut(), image, size)
    }

    #[test]
    fn the_text_lies_where_neither_image_nor_stack_is_and_the_mode_reaches_it() {
        for (len, load) in
            [(1, 0), (0x7000, 0), (0x7001, 0), (0x8000, 0x1000), (0xD000, 0x1000), (0x2000, 0x6000)]
        {
            for mode in CpuMode::ALL {
                let image = flat(len, load, mode);
                for size in [0x20_0000, 0x40_0000, 0x80_0000] {
                    let mut guest = guest(&image, size);
                    let boot = boot_in(guest.memory_mut(), &image, size).expect("it fits");
                    assert!(!image.takes(boot.text), "{mode:?} {len:#x} {load:#x} {:#x}", boot.text);
                    assert!(guest.memory().contains(boot.text.into(), PAGE_SIZE as usize));
                    let reach = match mode {
                        CpuMode::Real => 0xF000,
                        CpuMode::Paged => LARGE_PAGE_32,
                        _ => u32::MAX,
                    };
                    assert!(boot.text + PAGE_SIZE <= reach, "{mode:?}: {:#x}", boot.text);
                    assert!(mode == CpuMode::Real || boot.cpu.general[reg::RSP] <= boot.text.into());
                }
            }
        }
    }

    #[test]
    fn real_mode_has_its_stack_at_the_end_of_what_it_reaches() {
        let image = flat(1, 0, CpuMode::Real);
        for (size, stack_pointer, text) in [
            (0x20_0000, 0, 0x7000),
            (0x20_1000, 0, 0x7000),
            (0x20_8000, 0, 0x7000),
            (0x8000, 0x8000, 0x6000),
            (0x2000, 0x2000, 0x2000),
            (0x1000, 0x1000, 0x1000),
        ] {
            let mut guest = guest(&image, size);
            let boot = boot_in(guest.memory_mut(), &image, size).expect("it fits");
            assert_eq!(boot.cpu.general[reg::RSP] % u64::from(REAL_MODE_END), stack_pointer, "{size:#x}");
            assert_eq!(boot.text, text, "{size:#x}");
            assert!(guest.memory().contains(boot.text.into(), PAGE_SIZE as usize));
        }
        let all = flat(0x1_0000, 0, CpuMode::Real);
        assert_eq!(boot(&all, 0x20_0000).expect("it fits").text, 0x20_0000);
    }

    #[test]
    fn an_image_that_paged_mode_does_not_reach_is_refused() {
        for (load, fits) in [(0x3F_E000, true), (0x3F_F000, false), (0x50_0000, false)] {
            let image = flat(0x1000, load, CpuMode::Paged);
            assert_eq!(boot(&image, 0x80_0000).is_ok(), fits, "{load:#x}");
        }
        assert!(boot(&flat(0x1000, 0x1F_F000, CpuMode::Paged), 0x20_0000).is_ok());
    }

    #[test]
    fn an_image_beyond_its_memory_is_refused() {
        let image = flat(0x2000, 0x1F_F000, CpuMode::Protected);
        // The page behind memory is the host's: an image may not use it.
        assert!(image.end() > 0x20_0000);
        assert!(matches!(boot(&image, 0x20_0000), Err(BootError::Range { .. })));
        assert!(boot(&flat(0x2000, 0x1F_E000, CpuMode::Protected), 0x20_0000).is_ok());
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
    fn multiboot_information_lies_where_neither_image_nor_stack_is() {
        for (load, len, size, info) in [
            (0x10_0000, 0x1000, 0x20_0000, 0x9000),
            (0x8000, 0x2000, 0x20_0000, 0xA000),
            (0x1000, 0xF_F000, 0x20_0000, 0x20_1000),
            (0x1000, 0x9000, 0xC000, 0xA000),
            (0x1000, 0x9000, 0xB000, 0xC000),
        ] {
            let (image, arguments) = (kernel(load, len), ["a".to_owned(), "b".to_owned()]);
            let mut guest = guest(&image, size);
            let parameters = Parameters { vm: 1, seed: 1, memory: size, arguments: &arguments };
            let Boot { cpu, .. } = Boot::new(guest.memory_mut(), &image, parameters).expect("it fits");
            let (eax, ebx, stack) = (cpu.general[reg::RAX], cpu.general[reg::RBX], cpu.general[reg::RSP]);
            assert_eq!((eax, ebx), (MULTIBOOT_MAGIC.into(), u64::from(info)), "{load:#x}");
            assert!(!image.takes(info) && guest.memory().contains(info.into(), PAGE_SIZE as usize));
            assert!(ebx > stack || ebx + u64::from(PAGE_SIZE) < stack, "{load:#x}");
        }
        let arguments = ["x".repeat(layout::MAX_ARGUMENTS_SIZE as usize)];
        let image = kernel(0x10_0000, 0x1000);
        let mut guest = guest(&image, 0x20_0000);
        let parameters = Parameters { vm: 1, seed: 1, memory: 0x20_0000, arguments: &arguments };
        let refused = Boot::new(guest.memory_mut(), &image, parameters);
        assert!(matches!(refused, Err(BootError::Arguments { .. })));
    }
}
