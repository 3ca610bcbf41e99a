//! The panic handler of guests. Message, file, line and column go to the
//! host in one exit, and the guest ends. The host adds the calls that
//! led there, with their lines, from the image's debug information.
//!
//! `panic!`, `assert!`, an index out of bounds and `unwrap` call the handler by themselves.
//! Use a panic to report a bug in the guest. A guest that only has a bad result to report
//! ends with an [exit status](mod@crate::exit). A message of more than 512 bytes is cut off.

use core::{
    fmt::{Arguments, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use guest_abi::block;

use crate::{hypercall, message::Message};

/// Set by the first panic, so that a panic in the message's own formatting also ends the guest.
static PANICKING: AtomicBool = AtomicBool::new(false);

/// The place in a source file that a panic reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// The file's name.
    pub file: &'a [u8],
    /// The line, from 1; 0 if it is not known.
    pub line: u32,
    /// The column, from 1; 0 if it is not known.
    pub column: u32,
}

/// Ends the guest with the report of a panic at a place that is not in Rust, such as a line of C. One exit.
pub fn panic_at(place: Place<'_>, text: Arguments<'_>) -> ! {
    let mut message = Message::new();
    if PANICKING.swap(true, Ordering::Relaxed) {
        let _ = message.write_str("panicked while formatting a panic's message");
    } else {
        let _ = message.write_fmt(text);
    }
    hypercall::panic(&block::Panic {
        message: hypercall::text(message.as_bytes()),
        file: hypercall::text(place.file),
        line: place.line,
        column: place.column,
    })
}

#[cfg(target_os = "none")]
#[panic_handler]
fn report(info: &core::panic::PanicInfo<'_>) -> ! {
    let place = info.location().map(|location| Place {
        file: location.file().as_bytes(),
        line: location.line(),
        column: location.column(),
    });
    panic_at(place.unwrap_or_default(), format_args!("{}", info.message()))
}
