//! The hypercalls: one port instruction each (`guest_abi::port` says what they mean).
//!
//! Guests rarely need this module: [`console`](crate::console), [`log`](mod@crate::log),
//! [`mod@exit`](crate::exit), [`panic`](mod@crate::panic), [`clock`](crate::clock), [`timer`](crate::timer),
//! [`mailbox`](crate::mailbox) and [`ring`](crate::ring) are what they call. What is here only are the calls
//! of the course that this workbench follows. One exit a call, where it does not say otherwise.

use core::arch::asm;

use guest_abi::{
    block::{self, Text},
    port::Port,
};

use crate::volatile::Volatile;

/// `out` of 32 bits to a port below 0x100.
///
/// The instruction may hand memory over to the host, which reads or writes it before the next
/// instruction runs: so no `nomem`.
fn out32<const PORT: u16>(value: u32) {
    // SAFETY: the instruction leaves to the host, which keeps the guest's registers, and writes to
    // guest memory only where whoever attached a mailbox promised that it may, and to memory that
    // it keeps for itself.
    unsafe {
        asm!("out {port}, eax", port = const PORT, in("eax") value, options(nostack, preserves_flags));
    }
}

/// `out` of 8 bits to a port below 0x100.
fn out8<const PORT: u16>(value: u8) {
    // SAFETY: as in `out32`; the host reads no memory for an 8-bit call.
    unsafe {
        asm!("out {port}, al", port = const PORT, in("al") value, options(nomem, nostack, preserves_flags));
    }
}

/// `in` of 32 bits from a port below 0x100.
///
/// The host may write memory that it keeps for the answer: so no `nomem`.
fn in32<const PORT: u16>() -> u32 {
    let value: u32;
    // SAFETY: as in `out32`; what the host writes for an answer is read by volatile accesses only.
    unsafe {
        asm!("in eax, {port}", port = const PORT, out("eax") value, options(nostack, preserves_flags));
    }
    value
}

/// The guest-physical address of a value, which is its address: guests run identity-mapped, and
/// below 4 GiB. The host reads there, so that the address is exposed.
pub(crate) fn address_of<T: ?Sized>(value: &T) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "guest memory ends at MAX_MEMORY, below 4 GiB")]
    let address = core::ptr::from_ref(value).expose_provenance() as u32;
    address
}

/// Where a text lies, for a request block.
pub(crate) fn text(bytes: &[u8]) -> Text {
    Text { address: address_of(bytes), len: length(bytes.len()) }
}

/// The length of something in guest memory, for a request block.
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

/// The number of exits of this VM so far, this call's own included.
pub fn exit_count() -> u32 {
    in32::<{ Port::ExitCount as u16 }>()
}

/// The exits for port accesses so far, this call's own included, as the host writes them:
/// `IO in: X\nIO out: Y\n`.
pub fn exit_text() -> ExitText {
    let address = in32::<{ Port::ExitText as u16 }>() as usize;
    let mut text = ExitText { bytes: [0; _], len: 0 };
    for byte in &mut text.bytes {
        let from = core::ptr::with_exposed_provenance::<u8>(address + text.len);
        // SAFETY: the host answers with the address of a NUL-terminated string that it has just
        // written into memory that it keeps for this (guest_abi::layout::EXIT_TEXT).
        *byte = unsafe { from.read_volatile() };
        if *byte == 0 {
            break;
        }
        text.len += 1;
    }
    text
}

/// A copy of what [`exit_text`] found.
#[derive(Clone, Copy, Debug)]
pub struct ExitText {
    /// Two numbers of 20 digits at most, and words.
    bytes: [u8; 64],
    len: usize,
}

impl ExitText {
    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

/// The low half of the host-virtual address behind a guest-virtual one; 0 where there is no memory
/// or the host keeps such addresses to itself. Two exits.
pub fn translate(address: usize) -> u32 {
    out32::<{ Port::Translate as u16 }>(length(address));
    in32::<{ Port::Translate as u16 }>()
}

/// Prints a string that ends at its NUL.
pub fn print_c_string(string: &core::ffi::CStr) {
    out32::<{ Port::PrintString as u16 }>(text(string.to_bytes_with_nul()).address);
}

/// Prints text of up to [`Text::MAX_LEN`] bytes; the host ends a guest that asks for more.
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

/// Has the host interrupt this guest once, after this many microseconds; 0 is never.
pub fn timer_set(microseconds: u32) {
    out32::<{ Port::TimerSet as u16 }>(microseconds);
}

/// Hands a record of this guest's log to the host.
pub fn log(level: log::Level, target: &str, message: &[u8]) {
    let record = block::Log { level: level as u32, target: text(target.as_bytes()), message: text(message) };
    out32::<{ Port::Log as u16 }>(address_of(&record));
}

/// What the host's clock shows: the ticks since this guest was started, and their frequency.
pub fn clock() -> block::Clock {
    let clock = Volatile::new(block::Clock::default());
    out32::<{ Port::Clock as u16 }>(address_of(&clock));
    clock.get()
}

/// Tells the host where this guest's mailbox is: `size` bytes at a guest-physical address.
///
/// # Safety
///
/// From now on the host writes there whenever a turn of this guest's begins, and reads there when it
/// ends: all of it must be memory that this guest reaches by volatile accesses only. (An address
/// outside of guest memory is safe: the host refuses it and ends the guest.)
pub unsafe fn mailbox_attach(address: u32, size: usize) {
    let mailbox = block::MailboxAttach { address, size: length(size) };
    out32::<{ Port::MailboxAttach as u16 }>(address_of(&mailbox));
}

/// Ends this guest's turn; returns when its next turn has begun.
pub fn end_turn() {
    // SAFETY: as in `out32`; the call has no argument, and whatever EAX holds does.
    unsafe {
        asm!("out {port}, eax", port = const Port::EndTurn as u16, options(nostack, preserves_flags));
    }
}

/// The host does not let a guest go on after its end; should it ever, the guest stays here.
fn halt() -> ! {
    loop {
        // SAFETY: stops the CPU until an interrupt, which changes nothing here.
        unsafe { asm!("hlt", options(nomem, nostack, preserves_flags)) };
    }
}
