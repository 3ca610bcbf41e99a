//! The contents of an image: the parts to load, and the way to start.

use std::ops::Range;

use guest_abi::mode::CpuMode;

use super::note::Test;

/// The requests of a user for an image. For a field that is `None`, the image decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The form of the file.
    pub format: Option<ImageFormat>,
    /// The mode that the guest runs in.
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

/// The contents of an image's file: the parts to load, and the way to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) start: Start,
    pub(super) segments: Vec<Segment>,
    pub(super) tests: Vec<Test>,
}

impl Contents {
    /// Returns the bytes of the file that are loaded, each byte once.
    pub(super) fn loaded(&self) -> impl Iterator<Item = Range<usize>> {
        let mut ranges: Vec<_> = self.segments.iter().map(|segment| segment.bytes.clone()).collect();
        ranges.sort_by_key(|range| range.start);
        let mut end = 0;
        ranges.into_iter().map(move |range| {
            let start = range.start.max(end);
            end = end.max(range.end);
            start..end
        })
    }
}

/// The way to start an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// By its own boot code, in real mode: an image that was built with `guest-rt`.
    Boot {
        /// The mode that the boot code switches to.
        mode: CpuMode,
        /// The address of the boot code.
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
    /// Returns true if the image was not built with `guest-rt`.
    pub fn is_foreign(self) -> bool {
        !matches!(self, Self::Boot { .. })
    }

    /// Returns the mode that the guest runs in.
    pub fn mode(self) -> CpuMode {
        match self {
            Self::Boot { mode, .. } | Self::Direct { mode, .. } => mode,
            Self::Multiboot { .. } => CpuMode::Protected,
        }
    }
}

/// A piece of the image in guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) address: u32,
    /// Its bytes in the file; zeros follow them up to `size`. They are not copied before they are loaded:
    /// many segments may name the same bytes.
    pub(super) bytes: Range<usize>,
    pub(super) size: u32,
}

impl Segment {
    /// Returns one past the last address.
    pub(super) fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.size)
    }
}
