//! What a person sees while a private copy is made: one line that is rewritten on a terminal, a
//! line a step elsewhere.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

const STEPS: u32 = 4;

/// Clears the line that the cursor is in.
const CLEAR_LINE: &str = "\r\x1b[K";

/// The display of one fetch.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    step: u32,
    name: &'static str,
    text: String,
}

impl Progress {
    /// Says what is about to happen, and that it happens once.
    pub(crate) fn start(name: &'static str) -> Progress {
        crate::output::note(format_args!(
            "{name}: fetching a private copy from Debian's archive; this is done once, and nothing \
             on the system changes"
        ));
        Progress { terminal: io::stderr().is_terminal(), step: 0, name, text: String::new() }
    }

    /// Begins the next step.
    pub(crate) fn step(&mut self, what: &str) {
        self.step += 1;
        self.text = format!("{}: [{}/{STEPS}] {what}", self.name, self.step);
        if self.terminal {
            self.rewrite("");
        } else {
            crate::output::note(&self.text);
        }
    }

    /// Says how far a download has come.
    pub(crate) fn bytes(&self, done: u64, total: u64) {
        let percent = done.min(total) * 100 / total.max(1);
        self.rewrite(format_args!(": {percent}% of {} MB", total / 1_000_000));
    }

    /// Says which of how many is worked at.
    pub(crate) fn item(&self, number: usize, count: usize, name: &str) {
        self.rewrite(format_args!(": {number} of {count}, {name}"));
    }

    fn rewrite(&self, detail: impl Display) {
        if self.terminal {
            let mut stderr = io::stderr();
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(stderr, "{CLEAR_LINE}{}{detail}", self.text).and_then(|()| stderr.flush());
        }
    }
}

impl Drop for Progress {
    /// Leaves an empty line to whoever prints next, be it success or an error.
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(io::stderr(), "{CLEAR_LINE}");
        }
    }
}
