//! Standard error: lines are written at once, or held back while something else has the terminal.

use std::{
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::deadline_writer::DeadlineWriter;

/// The largest number of lines that are held back. Untrusted work can cause any number.
const MAX_HELD: usize = 100;

/// The lines that are held back, if they are. The list is global, as standard error is.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

#[derive(Default)]
struct Held {
    lines: Vec<String>,
    /// The number of further lines.
    more: u64,
}

/// Holds lines back while it lives. Dropping it writes them.
pub struct HeldBack(());

/// Holds all lines back from now on.
pub fn hold_back() -> HeldBack {
    lock().get_or_insert_default();
    HeldBack(())
}

/// Writes text and a line's end to standard error, or holds it back. The caller has made control characters harmless.
///
/// A failure has no consequence: a program without standard error has nowhere to report it.
pub fn warn(text: &str) {
    if !is_held(text) {
        let _ = DeadlineWriter::new(io::stderr()).write_all(format!("{text}\n").as_bytes());
    }
}

/// Holds text back if lines are held back now. Returns true if it did.
fn is_held(text: &str) -> bool {
    match lock().as_mut() {
        None => return false,
        Some(held) if held.lines.len() < MAX_HELD => held.lines.push(text.into()),
        Some(held) => held.more += 1,
    }
    true
}

fn lock() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        let Held { lines, more } = lock().take().unwrap_or_default();
        lines.iter().for_each(|line| warn(line));
        if more > 0 {
            warn(&format!("... and {more} lines more"));
        }
    }
}
