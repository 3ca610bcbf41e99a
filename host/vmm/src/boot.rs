//! Boot: the memory and the CPU state of a guest before its first instruction.
//!
//! [`guest_abi::layout`] draws the memory of a guest of guest-rt. An image that others built gets memory without holes,
//! from 0 to its size. Behind it are pages of the host: the text of the exit counts with the host's
//! [vectors](crate::vectors), then page tables, or the information of a boot loader.

use guest_abi::{
    boot::{self, BootInfo},
    layout::{self, PAGE_SIZE, REAL_MODE_END},
    mode::CpuMode,
};

use guestlab_cpu::{
    CpuState, GuestMemory,
    identity::{FOUR_LEVELS_SIZE, LARGE_PAGE_32, four_levels, one_large_page},
};

use crate::{
    boot_error::BootError,
    image::{Image, Start},
    memory::{MemoryLayout, MemorySizeError, write_record},
    multiboot::multiboot,
    random,
    vectors::Vectors,
};

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

/// A guest that is ready to run. Its memory contains the image and the host's own data.
pub struct Boot {
    /// The CPU's first state.
    pub cpu: CpuState,
    /// The address of the text of the exit counts.
    pub text: u32,
    /// The image was not built with guest-rt: it has only the course's ports, and ends with `hlt`.
    pub foreign: bool,
    /// The host's handlers of exceptions, for such images.
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
            Start::Multiboot { entry } => {
                let size = parameters.memory;
                let (cpu, vectors) = multiboot(memory, image, entry, size, parameters.arguments)?;
                Ok(Self { cpu, text: size, foreign: true, vectors: Some(vectors) })
            }
        }
    }
}

/// Boots a guest of guest-rt in real mode. Its own boot code does the rest.
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

/// Boots an image directly in its mode, with flat segments and the stack at the top of its memory.
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
        // 16-bit code uses the low half of this as stack pointer: 0, so that the first push goes to the end of the
        // first 64 KiB.
        CpuMode::Real if size >= REAL_MODE_END => size - size % REAL_MODE_END,
        // There is only one large page; addresses above it are not mapped.
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
    let cpu = CpuState::flat(mode, entry, stack, page_table);
    let cpu = tables.flatten().map_or(cpu.clone(), |tables| tables.loaded_by(cpu));
    Ok(Boot { cpu, text, foreign: true, vectors })
}

/// Returns the page for the text of the exit counts. The mode must reach it, and image and stack must not use it. It is
/// behind the guest's memory if the mode reaches that.
fn text_page(image: &Image, mode: CpuMode, size: u32) -> u32 {
    match mode {
        // Below the page of the stack, and not at 0, the page of the vector table. If the image fills all of that, the
        // text is behind its memory: 16-bit code cannot read it there, but can still have it printed.
        CpuMode::Real => (1..(size.min(REAL_MODE_END) / PAGE_SIZE).saturating_sub(1))
            .map(|page| page * PAGE_SIZE)
            .filter(|&page| !image.takes(page))
            .min_by_key(|page| page.abs_diff(0x7000))
            .unwrap_or(size),
        CpuMode::Paged => size.min(LARGE_PAGE_32 - PAGE_SIZE),
        CpuMode::Protected | CpuMode::Long => size,
    }
}

#[cfg(test)]
mod tests {
    use guestlab_cpu::{Cpu, Engine, state::reg};
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
    fn the_exit_text_is_reachable_and_overlaps_neither_image_nor_stack() {
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
}
