//! The line of progress of a search.

use std::fmt;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// A line of progress on standard error, if that is a terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        Self(if quiet { ProgressBar::hidden() } else { ProgressBar::no_length() })
    }

    /// Begins a part of the search, with the number of its trials if that is known.
    pub(super) fn begin(&self, len: Option<u64>, what: &str) {
        let template = match len {
            Some(_) => "{msg}: {pos} of {len}, {rate} a second {wide_bar}",
            None => "{msg}: {pos} runs, {rate} a second",
        };
        let style = ProgressStyle::with_template(template).expect("it is one of the two above");
        let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
            // Ignore the error: indicatif drops text that it cannot write.
            let _ = write!(text, "{:.0}", state.per_sec());
        };
        self.0.set_style(style.with_key("rate", rate));
        self.0.reset();
        match len {
            Some(len) => self.0.set_length(len),
            None => self.0.unset_length(),
        }
        self.0.set_message(what.to_owned());
    }

    pub(super) fn add(&self, runs: u64) {
        self.0.inc(runs);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
