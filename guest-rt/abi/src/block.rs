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

/// What [`Port::Trap`](crate::port::Port::Trap) carries: an exception or interrupt, and what it
/// interrupted. Registers that a mode does not have are 0.
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
    /// The general registers in the order of [`Trap::GENERAL`].
    pub general: [u64; 16],
}

impl Trap {
    /// The names of the general registers, without the letter that says how wide they are, in the order
    /// of their numbers (SDM 2A, 3.1.1.1 and table 2-4).
    pub const GENERAL: [&str; 16] =
        ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "8", "9", "10", "11", "12", "13", "14", "15"];

    /// Where the stack pointer is in [`Trap::general`].
    pub const STACK_POINTER: usize = 4;
}

/// What [`Port::Log`](crate::port::Port::Log) carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Log {
    /// How grave it is, by the `log` crate's numbers: 1 error, 2 warning, 3 information, 4 debugging,
    /// 5 tracing. The host takes any other for the nearest of these.
    pub level: u32,
    /// What it is about: as a rule a module's path.
    pub target: Text,
    /// The record itself.
    pub message: Text,
}

/// What [`Port::Clock`](crate::port::Port::Clock) is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Clock {
    /// The ticks since the guest was started. They never go back.
    pub ticks: u64,
    /// The number of ticks in a second: the same for as long as a guest runs, and never 0.
    pub frequency: u64,
}

const _: () = assert!(size_of::<Text>() == 8);
const _: () = assert!(size_of::<Panic>() == 24);
const _: () = assert!(size_of::<MailboxAttach>() == 8);
const _: () = assert!(size_of::<Trap>() == 184);
const _: () = assert!(size_of::<Log>() == 20);
const _: () = assert!(size_of::<Clock>() == 16);
