//! Guest images, checked before anything is loaded: ELF files with an ABI note, and what others
//! built, which is ELF files without one, Multiboot 1 kernels, and flat binaries.

mod elf;
mod error;
mod flat;
mod kind;
mod multiboot;
mod note;

use std::{
    fmt::Write,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use error::{ImageError, Problem};
use guest_abi::{layout, mode::CpuMode};
pub use note::Test;
use sha2::{Digest, Sha256};

use guestlab_cpu::GuestMemory;

use crate::boot_error::BootError;

/// The largest image file that is read, in bytes. Debug information is most of a file; none comes
/// near this.
pub const MAX_FILE_SIZE: u64 = 256 << 20;

/// What was asked for of an image. What is `None` is the image's to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The form of the file.
    pub format: Option<ImageFormat>,
    /// The mode that the guest is to run in.
    pub mode: Option<CpuMode>,
    /// The address that a flat binary is loaded to.
    pub load: Option<u32>,
    /// The address that the guest starts at.
    pub entry: Option<u32>,
}

/// The form of an image's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// An ELF file.
    Elf,
    /// Bytes, to be loaded as they are.
    Flat,
}

/// A checked image.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    path: PathBuf,
    sha256: String,
    file: Arc<Vec<u8>>,
    contents: Contents,
}

/// What an image's file says of how it is loaded and started.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    start: Start,
    segments: Vec<Segment>,
    tests: Vec<Test>,
}

/// How an image is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// By its own boot code, in real mode: an image that was built with `guest-rt`.
    Boot {
        /// The mode that the boot code switches to.
        mode: CpuMode,
        /// Where the boot code begins.
        entry: u16,
    },
    /// Directly in a mode.
    Direct {
        /// The mode.
        mode: CpuMode,
        /// The first instruction.
        entry: u32,
    },
    /// As a boot loader of Multiboot 1 does: in protected mode.
    Multiboot {
        /// The first instruction.
        entry: u32,
    },
}

impl Start {
    /// Whether others built the image: it was not built with `guest-rt`.
    pub fn is_foreign(self) -> bool {
        !matches!(self, Self::Boot { .. })
    }

    /// The mode that the guest runs in.
    pub fn mode(self) -> CpuMode {
        match self {
            Self::Boot { mode, .. } | Self::Direct { mode, .. } => mode,
            Self::Multiboot { .. } => CpuMode::Protected,
        }
    }
}

/// A piece of the image in guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    address: u32,
    /// Its bytes in the file; zeros follow them up to `size`. They are not copied before they are loaded:
    /// many segments may name the same bytes.
    bytes: Range<usize>,
    size: u32,
}

impl Segment {
    /// One past the last address.
    fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.size)
    }
}

impl Image {
    /// Checks an image whose bytes come from a file. The guest gets its name from the file's.
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

    /// Checks an image that is in memory.
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
        Ok(Self { name, path, sha256, file: Arc::new(bytes), contents })
    }

    /// The guest's name: its file's, without the ending and the mode that xtask puts there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The file's bytes.
    pub fn file(&self) -> &Arc<Vec<u8>> {
        &self.file
    }

    /// The ranges of addresses that the image takes: start, and one past the end.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.contents.segments.iter().map(|segment| (segment.address.into(), segment.end()))
    }

    /// The tests that the image has.
    pub fn tests(&self) -> &[Test] {
        &self.contents.tests
    }

    /// How the image is started.
    pub fn start(&self) -> Start {
        self.contents.start
    }

    /// Copies the image into a guest's memory of `size` bytes, which is all zero.
    ///
    /// # Errors
    ///
    /// A segment lies beyond that memory.
    pub fn load(&self, memory: &mut dyn GuestMemory, size: u32) -> Result<(), BootError> {
        for segment in &self.contents.segments {
            let Segment { address, bytes, size: len } = segment;
            // What lies behind a guest's memory may be there, but is the host's.
            if segment.end() > size.into() || !memory.contains((*address).into(), *len as usize) {
                return Err(BootError::Range { address: (*address).into(), len: (*len).into() });
            }
            memory.write((*address).into(), &self.file[bytes.clone()])?;
        }
        Ok(())
    }

    /// One past the highest address that the image takes.
    pub fn end(&self) -> u64 {
        self.contents.segments.iter().map(Segment::end).max().unwrap_or(0)
    }

    /// Whether the image takes any of a page.
    pub fn takes(&self, page: u32) -> bool {
        let (start, end) = (u64::from(page), u64::from(page) + u64::from(layout::PAGE_SIZE));
        self.contents.segments.iter().any(|segment| u64::from(segment.address) < end && segment.end() > start)
    }
}

/// For example `hello` of `hello.long.elf`.
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
