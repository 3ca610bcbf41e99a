//! Image files: ELF, Multiboot and flat, checked and loaded into a guest's memory.

use guest_abi::{
    layout::{DEFAULT_MEMORY, MAX_MEMORY, PAGE_SIZE, REAL_MODE_END},
    mode::CpuMode,
};
use guestlab::{
    cpu::{
        Cpu, GuestMemory,
        state::reg::{RBX, RSP},
    },
    vmm::{Boot, Image, ImageFormat, Parameters, Request, Start, memory_layout},
};

use super::engines;

/// The bytes before the file: what is asked for of it.
pub const HEAD: usize = 10;

/// Checks and loads the file behind the first [`HEAD`] bytes, which say how.
pub fn run(data: &[u8]) {
    let Some((head, file)) = data.split_first_chunk::<HEAD>() else { return };
    let (request, size) = asked(head);
    if let Ok(image) = Image::parse("image", file.to_vec(), request) {
        loaded(&image, size);
    }
}

/// Returns the head's request for the file, and the size of the memory that it is loaded into.
fn asked(head: &[u8; HEAD]) -> (Request, u32) {
    let [flags, mode, load @ .., low, high, offset, size] = *head;
    let [a, b, c, d] = load;
    let entry = u32::from_le_bytes([low, high, offset, 0]);
    let request = Request {
        format: [None, Some(ImageFormat::Elf), Some(ImageFormat::Flat)][usize::from(flags % 3)],
        mode: CpuMode::ALL.get(usize::from(mode % 5)).copied(),
        load: (flags & 0x40 != 0).then_some(u32::from_le_bytes([a, b, c, d])),
        entry: (flags & 0x80 != 0).then_some(entry),
    };
    (
        request,
        [PAGE_SIZE, 0x8000, REAL_MODE_END, DEFAULT_MEMORY, 0x80_0000, MAX_MEMORY][usize::from(size % 6)],
    )
}

/// Loads an image that was accepted into a new memory of this size, if it fits. Returns the vCPU with this memory, and
/// the start of the guest.
///
/// # Panics
///
/// The loader breaks a rule of its own.
pub fn loaded(image: &Image, size: u32) -> Option<(Box<dyn Cpu>, Boot)> {
    let layout = memory_layout(image, size).ok()?;
    let mut cpu = engines::soft().create(&layout.plan()).expect("memory of the interpreter's");
    let arguments = ["one".to_owned(), "two".to_owned()];
    let parameters = Parameters { vm: 1, seed: 1, memory: size, arguments: &arguments };
    let boot = Boot::new(cpu.memory_mut(), image, parameters).ok()?;
    let memory = cpu.memory();
    assert!(image.ranges().all(|(start, end)| start < end && end <= u64::from(size)));
    let mut ranges: Vec<_> = image.ranges().collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "segments overlap: {ranges:?}");
    match image.start() {
        Start::Boot { entry, .. } => assert!(!boot.foreign && memory.contains(entry.into(), 1)),
        Start::Direct { entry, .. } | Start::Multiboot { entry } => {
            assert!(boot.foreign && boot.cpu.ip == u64::from(entry) && memory.contains(entry.into(), 1));
            assert!(boot.cpu.general[RSP] <= size.into());
        }
    }
    if let Some(info) = multiboot_info(image, &boot) {
        let is_there = memory.contains(info.into(), PAGE_SIZE as usize);
        assert!(is_there && !image.takes(info), "the boot information at {info:#x}");
    }
    assert!(memory.contains(boot.text.into(), 64) && !image.takes(boot.text));
    if size <= REAL_MODE_END {
        check_rest(image, memory, size, &boot);
    }
    Some((cpu, boot))
}

/// Returns the address of the boot information, if the image is a Multiboot kernel.
fn multiboot_info(image: &Image, boot: &Boot) -> Option<u32> {
    let is_kernel = matches!(image.start(), Start::Multiboot { .. });
    is_kernel.then(|| u32::try_from(boot.cpu.general[RBX]).expect("an address below 4 GiB"))
}

/// The size in bytes of real mode's table of vectors, which the host fills where the image leaves it free.
const REAL_VECTORS: usize = 0x400;

/// Checks that all bytes are zero that are neither the image's nor the host's.
fn check_rest(image: &Image, memory: &dyn GuestMemory, size: u32, boot: &Boot) {
    let hosts = match (image.start(), multiboot_info(image, boot)) {
        (Start::Boot { .. }, _) => 0x1000..0x2000,
        (_, Some(info)) => info..info + PAGE_SIZE,
        (_, None) => 0..0,
    };
    for page in (0..size).step_by(PAGE_SIZE as usize) {
        let mut bytes = [0; PAGE_SIZE as usize];
        if memory.read(page.into(), &mut bytes).is_ok() && !image.takes(page) && !hosts.contains(&page) {
            let is_real = matches!(image.start(), Start::Direct { mode: CpuMode::Real, .. });
            let table = if is_real && page == 0 { REAL_VECTORS } else { 0 };
            assert!(bytes[table..].iter().all(|&byte| byte == 0), "something was written to {page:#x}");
        }
    }
}
