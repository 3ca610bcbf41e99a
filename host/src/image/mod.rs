//! Guest images: ELF files with an ABI note, checked before anything is loaded.

mod elf;
mod note;

use std::{
    fmt::Write,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use guest_abi::{Version, layout, mode::CpuMode};
use sha2::{Digest, Sha256};

use crate::memory::{GuestMemory, MemoryError};

/// The largest image file that is read, in bytes. Debug information is most of a file; none comes
/// near this.
const MAX_FILE_SIZE: u64 = 256 << 20;

/// A checked image.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    sha256: String,
    contents: Contents,
}

/// What an image's file says of how it is loaded and started.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    mode: CpuMode,
    entry: u16,
    segments: Vec<Segment>,
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
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let error = |problem| ImageError { path: path.into(), problem };
        let bytes = read(path).map_err(error)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Self::parse(name.trim_end_matches(".elf"), &bytes).map_err(error)
    }

    /// Checks an image that is in memory.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, Problem> {
        let contents = elf::parse(bytes)?;
        Ok(Self { name: name.into(), sha256: sha256(bytes), contents })
    }

    /// The image's name: its file's, without the ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The mode that the image's boot code switches to.
    pub fn mode(&self) -> CpuMode {
        self.contents.mode
    }

    /// Where it starts, in real mode.
    pub fn entry(&self) -> u16 {
        self.contents.entry
    }

    /// Copies the image into a guest's memory, which is all zero.
    ///
    /// # Errors
    ///
    /// A segment lies beyond that memory.
    pub fn load(&self, memory: &GuestMemory) -> Result<(), MemoryError> {
        for Segment { address, bytes, size } in &self.contents.segments {
            if !memory.contains(*address, *size) {
                return Err(MemoryError::Range { address: (*address).into(), len: (*size).into() });
            }
            memory.write(*address, bytes)?;
        }
        Ok(())
    }

    /// The memory that the image takes, from its lowest address to one past its highest.
    pub fn extent(&self) -> std::ops::Range<u64> {
        let segments = &self.contents.segments;
        let start = segments.iter().map(|segment| u64::from(segment.address)).min().unwrap_or(0);
        start..segments.iter().map(Segment::end).max().unwrap_or(start)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let file = File::open(path).map_err(Problem::Read)?;
    let metadata = file.metadata().map_err(Problem::Read)?;
    if metadata.is_dir() {
        return Err(Problem::Read(io::ErrorKind::IsADirectory.into()));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more, whatever kind of file this is.
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(Problem::Read)?;
    if bytes.len() as u64 > MAX_FILE_SIZE { Err(Problem::TooLarge) } else { Ok(bytes) }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all text");
        hex
    })
}

/// An image cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("image {}: {problem}", path.display())]
pub struct ImageError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A guest's image that is not there was not built, most likely.
fn not_built(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; guests are built by `cargo xtask build-guests`",
        _ => "",
    }
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read it: {0}{hint}", hint = not_built(.0))]
    Read(io::Error),
    /// The file is beyond all measure.
    #[error("it has more than {} MiB", MAX_FILE_SIZE >> 20)]
    TooLarge,
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It does not begin as an ELF file does.
    #[error("not an ELF file; build guests with `cargo xtask build-guests`")]
    NotElf,
    /// The file ends too early, or its headers contradict each other.
    #[error("a damaged ELF file, cut off perhaps: {0}")]
    Damaged(String),
    /// An ELF file of another kind.
    #[error("{0}; guests are static x86 executables: build them with `cargo xtask build-guests`")]
    Kind(String),
    /// An image without a note.
    #[error(
        "no Guestlab note in it, so that its ABI is not known: it was not built with guest-rt, or lacks guest_rt::entry!(main)"
    )]
    NoNote,
    /// A note that is not of the form that all versions share.
    #[error("its Guestlab note is damaged")]
    BadNote,
    /// An image for another version of the ABI.
    #[error(
        "built for guest ABI {guest}, and this host has ABI {}: build the guest with this host's guest-rt, or run it with its own host",
        guest_abi::VERSION
    )]
    Abi {
        /// The image's version.
        guest: Version,
    },
    /// A note that asks for something that this host does not know.
    #[error("its Guestlab note names CPU mode {0}, which there is not")]
    UnknownMode(u32),
    /// A way to start that this host does not have for images with a note.
    #[error("its Guestlab note asks to be started in {} mode; this host starts images in real mode", .0.name())]
    StartMode(CpuMode),
    /// Nothing to load.
    #[error("no loadable segment in it")]
    NoSegments,
    /// A segment outside the addresses that images may use.
    #[error(
        "segment {index} ({start:#x} to {end:#x}) is not within {:#x} to {:#x}, where images go",
        layout::IMAGE_BASE,
        layout::MAX_MEMORY
    )]
    OutOfRange {
        /// The segment's place among the loadable ones, from 0.
        index: usize,
        /// Its first address.
        start: u64,
        /// One past its last address.
        end: u64,
    },
    /// Two segments at one address.
    #[error("segments {first} and {second} overlap")]
    Overlap {
        /// The place of one among the loadable ones, from 0.
        first: usize,
        /// The place of the other.
        second: usize,
    },
    /// An entry that 16-bit code cannot begin at.
    #[error("its entry {entry:#x} is not below {:#x}, as a real-mode start needs", layout::REAL_MODE_END)]
    EntryTooHigh {
        /// The entry.
        entry: u64,
    },
    /// An entry where the image has nothing.
    #[error("its entry {entry:#x} is in none of its executable segments")]
    EntryOutside {
        /// The entry.
        entry: u64,
    },
}
