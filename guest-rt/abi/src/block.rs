//! Request blocks: the arguments of hypercalls that do not fit into EAX.
//! The guest writes the block into its memory and passes its guest-physical
//! address. The host copies it once and then checks the copy.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A piece of guest memory that holds text (the host does not rely on UTF-8).
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

/// The request block of [`Port::Panic`](crate::port::Port::Panic).
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

/// The request block of [`Port::MailboxAttach`](crate::port::Port::MailboxAttach).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MailboxAttach {
    /// The guest-physical address of the mailbox.
    pub address: u32,
    /// The mailbox's size in bytes.
    pub size: u32,
}

/// The request block of [`Port::Trap`](crate::port::Port::Trap): an exception or
/// interrupt, and the interrupted state. Registers that the mode lacks are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Trap {
    /// The [vector](crate::trap).
    pub vector: u32,
    /// 1 if the CPU pushed an error code, otherwise 0.
    pub has_error_code: u32,
    /// The error code.
    pub error_code: u64,
    /// CR2: the address of the last page fault.
    pub cr2: u64,
    /// The instruction pointer: of the instruction at fault, or of the next one (SDM 3A, 6.5).
    pub ip: u64,
    /// The flags.
    pub flags: u64,
    /// The code segment's selector.
    pub cs: u64,
    /// The stack segment's selector.
    pub ss: u64,
    /// The general registers in the order of their numbers ([`Trap::GENERAL`]).
    pub general: [u64; 16],
}

impl Trap {
    /// The names of the general registers, without the letter for the width,
    /// in the order of their numbers (SDM 2A, 3.1.1.1 and table 2-4).
    pub const GENERAL: [&str; 16] =
        ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "8", "9", "10", "11", "12", "13", "14", "15"];

    /// The index of the stack pointer in [`Trap::general`].
    pub const STACK_POINTER: usize = 4;
}

/// The request block of [`Port::Log`](crate::port::Port::Log).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Log {
    /// The level, with the `log` crate's numbers: 1 error, 2 warning, 3 information, 4
    /// debugging, 5 tracing. The host replaces any other number by the nearest of these.
    pub level: u32,
    /// The target, usually a module's path.
    pub target: Text,
    /// The message.
    pub message: Text,
}

/// The host's answer to [`Port::Clock`](crate::port::Port::Clock).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Clock {
    /// The ticks since the guest was started. They never go back.
    pub ticks: u64,
    /// The number of ticks per second: constant while a guest runs, and never 0.
    pub frequency: u64,
}

const _: () = assert!(size_of::<Text>() == 8);
const _: () = assert!(size_of::<Panic>() == 24);
const _: () = assert!(size_of::<MailboxAttach>() == 8);
const _: () = assert!(size_of::<Trap>() == 184);
const _: () = assert!(size_of::<Log>() == 20);
const _: () = assert!(size_of::<Clock>() == 16);
