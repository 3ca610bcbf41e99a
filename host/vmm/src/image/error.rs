//! Problems of images.

use std::{io, path::PathBuf};

use guest_abi::{Version, layout, mode::CpuMode};

/// The largest image file that is read, in bytes. Most of a file is debug information, and no real file comes
/// near this size.
pub const MAX_FILE_SIZE: u64 = 256 << 20;

/// An image cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("image {}: {problem}", path.display())]
pub struct ImageError {
    /// The file.
    pub path: PathBuf,
    /// The problem.
    pub problem: Problem,
}

/// Returns a hint for a missing file: most likely the guest was not built.
fn not_built(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; guests are built by `cargo xtask build-guests`",
        _ => "",
    }
}

/// A problem of an image.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read it: {0}{hint}", hint = not_built(.0))]
    Read(io::Error),
    /// The file is larger than [`MAX_FILE_SIZE`].
    #[error("it has more than {} MiB", MAX_FILE_SIZE >> 20)]
    TooLarge,
    /// The file is empty.
    #[error("it is empty")]
    Empty,
    /// The file does not begin with the magic number of ELF.
    #[error(
        "not an ELF file; build guests with `cargo xtask build-guests`, or say --format flat if it is a flat binary"
    )]
    NotElf,
    /// A file of another kind.
    #[error("not an ELF file but {is}: {mend}")]
    Format {
        /// The kind of file.
        is: &'static str,
        /// Advice: how to get a file that runs.
        mend: &'static str,
    },
    /// The file ends too early, or its headers contradict each other.
    #[error("a damaged ELF file, cut off perhaps: {0}")]
    Damaged(String),
    /// An ELF file of another kind.
    #[error("{is}: {mend}")]
    Kind {
        /// The kind of file.
        is: String,
        /// Advice: how to get a file that runs.
        mend: &'static str,
    },
    /// An image without a note.
    #[error(
        "no Guestlab note in it, so that its ABI is not known: it was not built with guest-rt, or lacks guest_rt::entry!(main); to start it without guest-rt's ABI, name its CPU mode with --mode"
    )]
    NoNote,
    /// An image that others built, in an exchange.
    #[error(
        "no Guestlab note in it: only guests that are linked with Guestlab's runtime take part in an exchange; for C, `cargo xtask new NAME --template c-producer` makes such a guest, and the Makefile of `cargo xtask kit FOLDER` links one"
    )]
    NoExchange,
    /// An option that this kind of image does not take.
    #[error(
        "{option} is for images that others built; this one is guest-rt's, and says itself where it starts"
    )]
    Superfluous {
        /// The option.
        option: &'static str,
    },
    /// A load address for an ELF file, which has its own.
    #[error("--load is for flat binaries; an ELF file says itself where it goes")]
    LoadOfElf,
    /// A Multiboot kernel that requires an unknown feature.
    #[error(
        "a Multiboot kernel that requires feature bits {0} of its header's flags, which Multiboot 1 does not have"
    )]
    MultibootFeature(String),
    /// A Multiboot kernel whose header boot loaders do not find.
    #[error(
        "a Multiboot kernel that boot loaders of Multiboot 1 cannot start: {0}; or start it without a boot loader's information, with --mode protected"
    )]
    Multiboot(String),
    /// A Multiboot kernel with impossible addresses in its header.
    #[error("the addresses in its Multiboot header are wrong: {0}")]
    MultibootAddresses(String),
    /// A request to start a Multiboot kernel in a mode that its code is not for.
    #[error(
        "a Multiboot kernel, which begins with 32-bit code, cannot start in {} mode: leave --mode out, or name where other code of it begins with --entry",
        .0.name()
    )]
    MultibootMode(CpuMode),
    /// A request for another mode than the guest's.
    #[error("it runs in {} mode, not in {} mode", .is.name(), .wanted.name())]
    OtherMode {
        /// The mode it was built for.
        is: CpuMode,
        /// The mode asked for.
        wanted: CpuMode,
    },
    /// More notes than are read.
    #[error("it has more than {} MiB of notes, Guestlab's among them", super::note::MAX_SIZE >> 20)]
    TooManyNotes,
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
    /// A note with a mode that this host does not know.
    #[error("its Guestlab note names CPU mode {0}, which there is not")]
    UnknownMode(u32),
    /// A note with a start mode that this host does not have.
    #[error("its Guestlab note asks to be started in {} mode; this host starts images in real mode", .0.name())]
    StartMode(CpuMode),
    /// Nothing to load.
    #[error("no loadable segment in it")]
    NoSegments,
    /// A segment outside the addresses that images may use.
    #[error(
        "segment {index} ({start:#x} to {end:#x}) is not within {from:#x} to {:#x}, where images go: {mend}",
        layout::MAX_MEMORY
    )]
    OutOfRange {
        /// The lowest address that this kind of image may use.
        from: u32,
        /// The segment's place among the loadable ones, from 0.
        index: usize,
        /// Its first address.
        start: u64,
        /// One past its last address.
        end: u64,
        /// Advice: how to get a file that runs.
        mend: &'static str,
    },
    /// A segment that has only a virtual address.
    #[error(
        "segment {index}, linked to run at {start:#x}, has the physical address 0, where it would be loaded: name the right one in the linker script, `.text : AT(ADDR(.text))`"
    )]
    NoPhysicalAddress {
        /// The segment's place among the loadable ones, from 0.
        index: usize,
        /// Its virtual address.
        start: u64,
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
    /// An entry outside of the image.
    #[error(
        "its entry {entry:#x} is in none of its segments: name the first function with ENTRY(...) in the linker script, or its address with --entry"
    )]
    EntryOutside {
        /// The entry.
        entry: u64,
    },
}
