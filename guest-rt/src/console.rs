//! The guest's console: [`print!`](crate::print) and [`println!`](crate::println), for the output
//! of a guest. Use the [log](mod@crate::log) for records that are only sometimes of interest.
//!
//! ```ignore
//! println!("hello from VM {}", guest_rt::boot::info().vm);
//! ```
//!
//! A buffer collects the text. It leaves the guest once per call, or when the buffer is full.
//! Code that prints during another print (a value's own formatting, or the handler of an
//! [interrupt](crate::interrupts)) does not wait for that buffer: its text leaves separately.
//! Cost: one exit per call, and one more for every 256 bytes. Text without format arguments needs
//! one exit for up to 64 KiB. The host makes control characters visible instead of obeying them.

use core::fmt::{self, Write};

use guest_abi::block::Text;
use spin::Mutex;

use crate::hypercall;

/// Prints to the host's console, like `std::print!`.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::console::print(format_args!($($arg)*)) };
}

/// Prints to the host's console, with a newline, like `std::println!`.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($arg)*))) };
}

/// Prints formatted text; [`print!`](crate::print) calls it.
pub fn print(text: fmt::Arguments<'_>) {
    // Text without format arguments needs no buffer.
    if let Some(text) = text.as_str() {
        return text.as_bytes().chunks(Text::MAX_LEN as usize).for_each(hypercall::print);
    }
    let outcome = match CONSOLE.try_lock() {
        Some(mut console) => console.print(text),
        None => Buffer::<64>::new().print(text),
    };
    outcome.expect("the console takes all text; a value's own formatting failed");
}

static CONSOLE: Mutex<Buffer<256>> = Mutex::new(Buffer::new());

/// Text that the host has not received yet.
struct Buffer<const SIZE: usize> {
    bytes: [u8; SIZE],
    len: usize,
}

impl<const SIZE: usize> Buffer<SIZE> {
    const fn new() -> Self {
        Self { bytes: [0; SIZE], len: 0 }
    }

    fn print(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        let outcome = self.write_fmt(text);
        self.flush();
        outcome
    }

    fn flush(&mut self) {
        if self.len > 0 {
            hypercall::print(&self.bytes[..self.len]);
            self.len = 0;
        }
    }
}

impl<const SIZE: usize> Write for Buffer<SIZE> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.as_bytes().chunks(SIZE) {
            if self.len + piece.len() > SIZE {
                self.flush();
            }
            self.bytes[self.len..self.len + piece.len()].copy_from_slice(piece);
            self.len += piece.len();
        }
        Ok(())
    }
}
