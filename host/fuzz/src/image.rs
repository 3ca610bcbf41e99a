//! Image files: ELF, Multiboot and flat, checked and loaded into a guest's memory.

use guest_abi::{
    layout::{DEFAULT_MEMORY, MAX_MEMORY, PAGE_SIZE, REAL_MODE_END},
    mode::CpuMode,
};
use guestlab::vmm::{
    boot::{Launch, Parameters},
    image::{Image, ImageFormat, Request, Start},
    memory::GuestMemory,
};

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

/// What the head asks for of the file, and the size of the memory it is loaded into.
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

/// Loads an image that was accepted into a new memory of this size, if it fits; the memory, with how the
/// guest starts.
///
/// # Panics
///
/// If the loader breaks a rule of its own.
pub fn loaded(image: &Image, size: u32) -> Option<(GuestMemory, Launch)> {
    let memory = Launch::memory(image, size).ok()?;
    let arguments = ["one".to_owned(), "two".to_owned()];
    let parameters = Parameters { vm: 1, seed: 1, memory: size, arguments: &arguments };
    let launch = Launch::new(&memory, image, parameters).ok()?;
    assert!(image.ranges().all(|(start, end)| start < end && end <= u64::from(size)));
    let mut ranges: Vec<_> = image.ranges().collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "segments overlap: {ranges:?}");
    match image.start() {
        Start::Boot { entry, .. } => assert!(!launch.foreign && memory.contains(entry.into(), 1)),
        Start::Direct { entry, .. } | Start::Multiboot { entry } => {
            assert!(launch.foreign && launch.cpu.entry == entry && memory.contains(entry, 1));
            assert!(launch.cpu.stack <= memory.size());
        }
    }
    if matches!(image.start(), Start::Multiboot { .. }) {
        let info = launch.cpu.eax_ebx.1;
        assert!(memory.contains(info, PAGE_SIZE) && !image.takes(info), "the boot information at {info:#x}");
    }
    assert!(memory.contains(launch.text, 64) && !image.takes(launch.text));
    if size <= REAL_MODE_END {
        check_rest(image, &memory, &launch);
    }
    Some((memory, launch))
}

/// The size in bytes of real mode's table of vectors, which the host fills where the image leaves it free.
const REAL_VECTORS: usize = 0x400;

/// What is neither the image's nor the host's is zero.
fn check_rest(image: &Image, memory: &GuestMemory, launch: &Launch) {
    let hosts = match image.start() {
        Start::Boot { .. } => 0x1000..0x2000,
        Start::Direct { .. } => 0..0,
        Start::Multiboot { .. } => launch.cpu.eax_ebx.1..launch.cpu.eax_ebx.1 + PAGE_SIZE,
    };
    for page in (0..memory.size()).step_by(PAGE_SIZE as usize) {
        let mut bytes = [0; PAGE_SIZE as usize];
        if memory.read(page, &mut bytes).is_ok() && !image.takes(page) && !hosts.contains(&page) {
            let is_real = matches!(image.start(), Start::Direct { mode: CpuMode::Real, .. });
            let table = if is_real && page == 0 { REAL_VECTORS } else { 0 };
            assert!(bytes[table..].iter().all(|&byte| byte == 0), "something was written to {page:#x}");
        }
    }
}
