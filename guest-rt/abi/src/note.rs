//! The ELF note of an image: the ABI that it was built for, and its CPU modes.
//!
//! The note has the usual form (System V ABI, "Note Section"): name size, descriptor size,
//! type, name, descriptor. It lies in a `PT_NOTE` segment of the image and is not loaded.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Version, mode::CpuMode};

/// The note's owner, with its terminating zero byte.
pub const NAME: [u8; 9] = *b"Guestlab\0";

/// The length of the owner's name.
pub(crate) const NAME_SIZE: u32 = 9;
const DESCRIPTOR_SIZE: u32 = 12;

/// The note's type.
pub const TYPE: u32 = 1;

/// The note's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Descriptor {
    /// [`Version::major`] of the ABI that the image was built for.
    pub abi_major: u16,
    /// [`Version::minor`] of the same ABI.
    pub abi_minor: u16,
    /// The [`CpuMode`] in which the host must start the
    /// image: real mode for all images built with `guest-rt`.
    pub start_mode: u32,
    /// The [`CpuMode`] that the image switches itself to.
    pub mode: u32,
}

impl Descriptor {
    /// Creates the descriptor of an image of this ABI that starts in real mode and runs in `mode`.
    pub const fn new(mode: CpuMode) -> Self {
        Self {
            abi_major: crate::VERSION.major,
            abi_minor: crate::VERSION.minor,
            start_mode: CpuMode::Real as u32,
            mode: mode as u32,
        }
    }

    /// Returns the ABI version that the image was built for.
    pub const fn version(&self) -> Version {
        Version { major: self.abi_major, minor: self.abi_minor }
    }
}

/// The whole note, in its file layout.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Note {
    name_size: u32,
    descriptor_size: u32,
    note_type: u32,
    /// Padded to four bytes.
    name: [u8; 12],
    descriptor: Descriptor,
}

impl Note {
    /// Creates the note of an image that runs in `mode`.
    pub const fn new(mode: CpuMode) -> Self {
        let mut name = [0; 12];
        let mut i = 0;
        while i < NAME.len() {
            name[i] = NAME[i];
            i += 1;
        }
        Self {
            name_size: NAME_SIZE,
            descriptor_size: DESCRIPTOR_SIZE,
            note_type: TYPE,
            name,
            descriptor: Descriptor::new(mode),
        }
    }
}

const _: () = assert!(NAME.len() == NAME_SIZE as usize);
const _: () = assert!(size_of::<Descriptor>() == DESCRIPTOR_SIZE as usize);
const _: () = assert!(size_of::<Note>() == 36);
