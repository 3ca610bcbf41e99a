//! Request blocks: what a hypercall says that does not fit into EAX. The guest writes the block
//! into its memory and passes its guest-physical address; the host copies it once and then
//! checks the copy.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A piece of guest memory that holds text (which the host does not trust to be UTF-8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Text {
    /// The guest-physical address of the first byte.
    pub address: u32,
    /// The length in bytes; the host reads at most [`Text::MAX_LEN`] of them.
    pub len: u32,
}

impl Text {
    /// The most bytes that the host reads of one text.
    pub const MAX_LEN: u32 = 0x1_0000;
}

/// What [`Port::Panic`](crate::port::Port::Panic) carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Panic {
    /// The panic's message.
    pub message: Text,
    /// The source file.
    pub file: Text,
    /// The line in it, from 1.
    pub line: u32,
    /// The column in it, from 1.
    pub column: u32,
}

/// What [`Port::MailboxAttach`](crate::port::Port::MailboxAttach) carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MailboxAttach {
    /// The guest-physical address of the mailbox.
    pub address: u32,
    /// The mailbox's size in bytes.
    pub size: u32,
}

const _: () = assert!(size_of::<Text>() == 8);
const _: () = assert!(size_of::<Panic>() == 24);
const _: () = assert!(size_of::<MailboxAttach>() == 8);
