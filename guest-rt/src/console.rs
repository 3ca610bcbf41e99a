//! The guest's console: [`print!`](crate::print) and [`println!`](crate::println), for what a guest has to
//! say. What is of interest sometimes only is a record of the [log](mod@crate::log).
//!
//! ```ignore
//! println!("hello from VM {}", guest_rt::boot::info().vm);
//! ```
//!
//! Text is gathered in a buffer and leaves the guest once a call, or whenever the buffer is
//! full. What prints while something is being printed, a value's own formatting or the handler of an
//! [interrupt](crate::interrupts), does not wait for the buffer that is held below it: its text goes out
//! by itself. One exit a call, and one more for every 256 bytes; text without anything to format goes out in
//! one exit up to 64 KiB. The host shows control characters rather than obeying them.

use core::fmt::{self, Write};

use guest_abi::block::Text;
use spin::Mutex;

use crate::hypercall;

/// Prints to the host's console, as `std::print!` does.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::console::print(format_args!($($arg)*)) };
}

/// Prints to the host's console, with a newline, as `std::println!` does.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($arg)*))) };
}

/// What [`print!`](crate::print) calls.
pub fn print(text: fmt::Arguments<'_>) {
    // Without anything to format there is nothing to gather.
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

/// Text that has not left the guest yet.
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
