//! Lines for standard error that wait: while a view has the terminal they would write across it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most lines that wait. A guest can cause as many as it likes.
const MOST: usize = 100;

/// The lines that wait, while lines do. Like standard error, they are the process's.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

#[derive(Default)]
struct Held {
    lines: Vec<String>,
    /// How many came after there were enough.
    more: u64,
}

/// While it lives, complaints wait; then they are written.
pub struct Silenced(());

/// Has all complaints wait from now on.
pub fn hold_complaints() -> Silenced {
    lock().get_or_insert_default();
    Silenced(())
}

/// Whether a line waits now, rather than being written.
pub(crate) fn holds(line: &str) -> bool {
    match lock().as_mut() {
        None => return false,
        Some(held) if held.lines.len() < MOST => held.lines.push(line.into()),
        Some(held) => held.more += 1,
    }
    true
}

fn lock() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Silenced {
    fn drop(&mut self) {
        let Held { lines, more } = lock().take().unwrap_or_default();
        lines.iter().for_each(|line| crate::output::complain_styled(line));
        if more > 0 {
            crate::output::complain_styled(&format!("... and {more} lines more"));
        }
    }
}
