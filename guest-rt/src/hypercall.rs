//! The hypercalls: one port instruction each (`guest_abi::port` defines their meaning).
//!
//! Guests rarely need this module. The modules [`console`](crate::console), [`log`](mod@crate::log),
//! [`mod@exit`](crate::exit), [`panic`](mod@crate::panic), [`clock`](crate::clock), [`timer`](crate::timer),
//! [`mailbox`](crate::mailbox) and [`ring`](crate::ring) call it. Only the calls of the university course
//! have no other module. Each call costs one exit, unless its documentation says otherwise.

use core::arch::asm;

use guest_abi::{
    block::{self, Text},
    port::Port,
};

use crate::volatile::Volatile;

/// Writes 32 bits to a port below 0x100.
///
/// The host may read or write guest memory before the next
/// instruction runs. Therefore the assembly does not claim `nomem`.
fn out32<const PORT: u16>(value: u32) {
    // SAFETY: the host serves the instruction and keeps the guest's registers.
    // It writes guest memory in two places only: in a mailbox, as the code
    // that attached it allowed, and in memory that is reserved for the host.
    unsafe {
        asm!("out {port}, eax", port = const PORT, in("eax") value, options(nostack, preserves_flags));
    }
}

/// Writes 8 bits to a port below 0x100.
fn out8<const PORT: u16>(value: u8) {
    // SAFETY: as in `out32`; the host reads no memory for an 8-bit call.
    unsafe {
        asm!("out {port}, al", port = const PORT, in("al") value, options(nomem, nostack, preserves_flags));
    }
}

/// Reads 32 bits from a port below 0x100.
///
/// The host may write its answer to reserved memory. Therefore the assembly does not claim `nomem`.
fn in32<const PORT: u16>() -> u32 {
    let value: u32;
    // SAFETY: as in `out32`; only volatile accesses read the answer in memory.
    unsafe {
        asm!("in eax, {port}", port = const PORT, out("eax") value, options(nostack, preserves_flags));
    }
    value
}

/// Returns the guest-physical address of a value. It equals the pointer, because guests run
/// identity-mapped and below 4 GiB. The address is exposed, because the host accesses it.
pub(crate) fn address_of<T: ?Sized>(value: &T) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "guest memory ends at MAX_MEMORY, below 4 GiB")]
    let address = core::ptr::from_ref(value).expose_provenance() as u32;
    address
}

/// Describes the place of a text, for a request block.
pub(crate) fn text(bytes: &[u8]) -> Text {
    Text { address: address_of(bytes), len: length(bytes.len()) }
}

/// Converts the length of an object in guest memory, for a request block.
fn length(len: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "guest memory ends at MAX_MEMORY, below 4 GiB")]
    let len = len as u32;
    len
}

/// Prints one byte.
pub fn print_byte(byte: u8) {
    out8::<{ Port::PrintByte as u16 }>(byte);
}

/// Prints a number in decimal, and a newline.
pub fn print_decimal(number: u32) {
    out32::<{ Port::PrintDecimal as u16 }>(number);
}

/// Returns the number of exits of this VM so far, including this call.
pub fn exit_count() -> u32 {
    in32::<{ Port::ExitCount as u16 }>()
}

/// Returns the host's text of the exits for port accesses
/// so far, including this call: `IO in: X\nIO out: Y\n`.
pub fn exit_text() -> ExitText {
    let address = in32::<{ Port::ExitText as u16 }>() as usize;
    let mut text = ExitText { bytes: [0; _], len: 0 };
    for byte in &mut text.bytes {
        let from = core::ptr::with_exposed_provenance::<u8>(address + text.len);
        // SAFETY: the host answers with the address of a NUL-terminated string. It has just
        // written the string into memory reserved for it (guest_abi::layout::EXIT_TEXT).
        *byte = unsafe { from.read_volatile() };
        if *byte == 0 {
            break;
        }
        text.len += 1;
    }
    text
}

/// A copy of the text that [`exit_text`] read.
#[derive(Clone, Copy, Debug)]
pub struct ExitText {
    /// Room for two numbers of at most 20 digits, and words.
    bytes: [u8; 64],
    len: usize,
}

impl ExitText {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

/// Returns the low half of the host-virtual address for a guest-virtual address,
/// or 0 if there is no memory or the host keeps its addresses secret. Two exits.
pub fn translate(address: usize) -> u32 {
    out32::<{ Port::Translate as u16 }>(length(address));
    in32::<{ Port::Translate as u16 }>()
}

/// Prints a NUL-terminated string.
pub fn print_c_string(string: &core::ffi::CStr) {
    out32::<{ Port::PrintString as u16 }>(text(string.to_bytes_with_nul()).address);
}

/// Prints text of up to [`Text::MAX_LEN`] bytes; a longer text ends the guest.
pub fn print(bytes: &[u8]) {
    out32::<{ Port::Print as u16 }>(address_of(&text(bytes)));
}

/// Ends the guest with a status.
pub fn exit(status: u32) -> ! {
    out32::<{ Port::Exit as u16 }>(status);
    halt()
}

/// Ends the guest with the report of a panic.
pub fn panic(report: &block::Panic) -> ! {
    out32::<{ Port::Panic as u16 }>(address_of(report));
    halt()
}

/// Ends the guest with the report of an exception or an interrupt.
pub fn trap(report: &block::Trap) -> ! {
    out32::<{ Port::Trap as u16 }>(address_of(report));
    halt()
}

/// Requests one interrupt after this many microseconds; 0 cancels it.
pub fn timer_set(microseconds: u32) {
    out32::<{ Port::TimerSet as u16 }>(microseconds);
}

/// Sends a log record to the host.
pub fn log(level: log::Level, target: &str, message: &[u8]) {
    let record = block::Log { level: level as u32, target: text(target.as_bytes()), message: text(message) };
    out32::<{ Port::Log as u16 }>(address_of(&record));
}

/// Reads the host's clock: the ticks since this guest was started, and their frequency.
pub fn clock() -> block::Clock {
    let clock = Volatile::new(block::Clock::default());
    out32::<{ Port::Clock as u16 }>(address_of(&clock));
    clock.get()
}

/// Registers this guest's mailbox with the host: `size` bytes at a guest-physical address.
///
/// # Safety
///
/// From now on the host writes this memory when a turn of this guest begins, and reads
/// it when the turn ends. The guest must access all of it by volatile accesses only.
/// (An address outside guest memory is safe: the host refuses it and ends the guest.)
pub unsafe fn mailbox_attach(address: u32, size: usize) {
    let mailbox = block::MailboxAttach { address, size: length(size) };
    out32::<{ Port::MailboxAttach as u16 }>(address_of(&mailbox));
}

/// Ends this guest's turn; returns when its next turn has begun.
pub fn end_turn() {
    // SAFETY: as in `out32`; the call ignores EAX.
    unsafe {
        asm!("out {port}, eax", port = const Port::EndTurn as u16, options(nostack, preserves_flags));
    }
}

/// Stops the CPU. The host does not resume a guest after its end; this is the fallback if it did.
fn halt() -> ! {
    loop {
        // SAFETY: `hlt` stops the CPU until an interrupt, and changes no state here.
        unsafe { asm!("hlt", options(nomem, nostack, preserves_flags)) };
    }
}
