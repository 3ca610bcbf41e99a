//! Guest images, checked before anything is loaded: ELF files with an ABI note, and what others
//! built, which is ELF files without one, Multiboot 1 kernels, and flat binaries.

mod elf;
mod flat;
mod multiboot;
mod note;
mod problem;
mod source;

use std::{
    fmt::Write,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use guest_abi::{layout, mode::CpuMode};
pub use problem::{ImageError, Problem};
use sha2::{Digest, Sha256};
pub use source::Source;

use crate::memory::{GuestMemory, MemoryError};

/// The largest image file that is read, in bytes. Debug information is most of a file; none comes
/// near this.
const MAX_FILE_SIZE: u64 = 256 << 20;

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
    file: PathBuf,
    sha256: String,
    contents: Contents,
}

/// What an image's file says of how it is loaded and started.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    start: Start,
    segments: Vec<Segment>,
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
    /// The bytes from the file; zeros follow them up to `size`.
    bytes: Vec<u8>,
    size: u32,
}

impl Segment {
    /// One past the last address.
    fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.size)
    }
}

impl Image {
    /// Reads and checks an image.
    ///
    /// # Errors
    ///
    /// Why the file is no image that this host can run.
    pub fn open(path: &Path, request: Request) -> Result<Self, ImageError> {
        let error = |problem| ImageError { path: path.into(), problem };
        let bytes = read(path).map_err(error)?;
        let file_name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let mut image = Self::parse(&file_name, &bytes, request).map_err(error)?;
        image.name = guest_name(&file_name, image.start()).into();
        image.file = path.into();
        Ok(image)
    }

    /// Checks an image that is in memory.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn parse(name: &str, bytes: &[u8], request: Request) -> Result<Self, Problem> {
        let contents = match request.format {
            Some(ImageFormat::Flat) => flat::parse(bytes, request)?,
            Some(ImageFormat::Elf) | None => elf::parse(bytes, request)?,
        };
        Ok(Self { name: name.into(), file: name.into(), sha256: sha256(bytes), contents })
    }

    /// The guest's name: its file's, without the ending and the mode that xtask puts there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The image's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How the image is started.
    pub fn start(&self) -> Start {
        self.contents.start
    }

    /// Copies the image into a guest's memory, which is all zero.
    ///
    /// # Errors
    ///
    /// A segment lies beyond that memory.
    pub fn load(&self, memory: &GuestMemory) -> Result<(), MemoryError> {
        for segment in &self.contents.segments {
            let Segment { address, bytes, size } = segment;
            // What lies behind a guest's memory may be there, but is the host's.
            if segment.end() > memory.size().into() || !memory.contains(*address, *size) {
                return Err(MemoryError::Range { address: (*address).into(), len: (*size).into() });
            }
            memory.write(*address, bytes)?;
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

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    // Before it is opened: a pipe without a writer would keep us there.
    if !std::fs::metadata(path).map_err(Problem::Read)?.is_file() {
        return Err(Problem::NotAFile);
    }
    let file = File::open(path).map_err(Problem::Read)?;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more.
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(Problem::Read)?;
    if bytes.len() as u64 > MAX_FILE_SIZE { Err(Problem::TooLarge) } else { Ok(bytes) }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all text");
        hex
    })
}
