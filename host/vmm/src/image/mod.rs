//! Guest images, checked before they are loaded: ELF files with an ABI note; and images that others built, which are ELF
//! files without a note, Multiboot 1 kernels, and flat binaries.

mod contents;
mod elf;
mod error;
mod features;
mod flat;
mod kind;
mod multiboot;
mod note;

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use contents::{ImageFormat, Request, Start};
pub use error::{ImageError, MAX_FILE_SIZE, Problem};
use guest_abi::{layout, mode::CpuMode};
pub use note::Test;
use sha2::{Digest, Sha256};

use guestlab_cpu::GuestMemory;

use crate::boot_error::BootError;
use contents::{Contents, Segment};

/// A checked image.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    path: PathBuf,
    sha256: String,
    file: Arc<Vec<u8>>,
    contents: Contents,
    needs_features: bool,
}

impl Image {
    /// Checks an image that was read from a file. The guest's name comes from the file's name.
    ///
    /// # Errors
    ///
    /// The bytes are not an image that can run.
    pub fn of_file(path: &Path, bytes: Vec<u8>, request: Request) -> Result<Self, ImageError> {
        let file_name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let image = Self::parse(&file_name, bytes, request);
        let mut image = image.map_err(|problem| ImageError { path: path.into(), problem })?;
        image.name = guest_name(&file_name, image.start()).into();
        image.path = path.into();
        Ok(image)
    }

    /// Checks an image in memory.
    ///
    /// # Errors
    ///
    /// The bytes are not an image that can run.
    pub fn parse(name: &str, bytes: Vec<u8>, request: Request) -> Result<Self, Problem> {
        let contents = match request.format {
            _ if bytes.is_empty() => Err(Problem::Empty),
            Some(ImageFormat::Flat) => flat::parse(&bytes, request),
            _ if elf::is_elf(&bytes) => elf::parse(&bytes, request),
            Some(ImageFormat::Elf) => Err(kind::no_elf(&bytes)),
            None => flat::unnamed(&bytes, request).unwrap_or_else(|| Err(kind::no_elf(&bytes))),
        }?;
        let (name, path, sha256) = (name.into(), name.into(), sha256(&bytes));
        let needs_features = needs_features(&contents, &bytes);
        Ok(Self { name, path, sha256, file: Arc::new(bytes), contents, needs_features })
    }

    /// Returns the guest's name: the file's, without the ending and the mode that xtask adds.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns the file's bytes.
    pub fn file(&self) -> &Arc<Vec<u8>> {
        &self.file
    }

    /// Returns the address ranges of the segments: start, and one past the end.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.contents.segments.iter().map(|segment| (segment.address.into(), segment.end()))
    }

    /// Returns the tests of the image.
    pub fn tests(&self) -> &[Test] {
        &self.contents.tests
    }

    /// Returns the way to start the image.
    pub fn start(&self) -> Start {
        self.contents.start
    }

    /// Returns true if the guest may depend on optional features of its CPU, such as the `cpuid` instruction: it is in paged
    /// or long mode, or its bytes have such an instruction, or it was not built with guest-rt.
    pub fn needs_features(&self) -> bool {
        self.needs_features
    }

    /// Copies the image into a guest's memory. The guest has `size` bytes, all zero.
    ///
    /// # Errors
    ///
    /// A segment lies beyond that memory.
    pub fn load(&self, memory: &mut dyn GuestMemory, size: u32) -> Result<(), BootError> {
        for segment in &self.contents.segments {
            let Segment { address, bytes, size: len } = segment;
            // The host's own pages may lie behind the guest's memory: an image must not reach them.
            if segment.end() > size.into() || !memory.contains((*address).into(), *len as usize) {
                return Err(BootError::Range { address: (*address).into(), len: (*len).into() });
            }
            memory.write((*address).into(), &self.file[bytes.clone()])?;
        }
        Ok(())
    }

    /// Returns one past the highest address of the image.
    pub fn end(&self) -> u64 {
        self.contents.segments.iter().map(Segment::end).max().unwrap_or(0)
    }

    /// Returns true if a segment overlaps the page.
    pub fn takes(&self, page: u32) -> bool {
        let (start, end) = (u64::from(page), u64::from(page) + u64::from(layout::PAGE_SIZE));
        self.contents.segments.iter().any(|segment| u64::from(segment.address) < end && segment.end() > start)
    }
}

fn needs_features(contents: &Contents, file: &[u8]) -> bool {
    match contents.start {
        Start::Boot { mode: CpuMode::Real | CpuMode::Protected, .. } => {
            contents.loaded().any(|bytes| features::are_used(&file[bytes]))
        }
        // Long mode is itself a feature, and paging has some.
        _ => true,
    }
}

/// Returns a guest's name, for example `hello` for `hello.long.elf`.
fn guest_name(file_name: &str, start: Start) -> &str {
    let name = file_name.strip_suffix(".elf").unwrap_or(file_name);
    match start {
        Start::Boot { mode, .. } => {
            name.strip_suffix(mode.name()).and_then(|name| name.strip_suffix('.')).unwrap_or(name)
        }
        _ => name,
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all text");
        hex
    })
}
