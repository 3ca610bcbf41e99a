//! Cargo without its last word: a build in which nothing was to be done prints nothing.
//!
//! `--quiet` would hide the progress of a build that does take time, so cargo's stderr is held
//! back only until the first line that says more than `Finished`.

use std::io::{Read, Write};

/// Copies `from` to `to` as soon as there is something worth saying.
pub(crate) fn forward(mut from: impl Read, to: impl Write) {
    let mut hush = Hush { to, held: Vec::new(), speaking: false };
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        hush.take(&buffer[..length]);
    }
    hush.end();
}

struct Hush<W> {
    to: W,
    held: Vec<u8>,
    speaking: bool,
}

impl<W: Write> Hush<W> {
    fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        while !self.speaking && self.drop_idle_line() {}
        if self.speaking {
            self.let_out();
        }
    }

    /// Drops the first held line if it is idle talk; the first other one ends the silence.
    fn drop_idle_line(&mut self) -> bool {
        let Some(end) = self.held.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            return false;
        };
        self.speaking = !is_idle(&self.held[..end]);
        if !self.speaking {
            self.held.drain(..=end);
        }
        true
    }

    fn end(&mut self) {
        if !is_idle(&self.held) {
            self.let_out();
        }
    }

    /// A terminal that cannot be written to is no reason to end the build.
    fn let_out(&mut self) {
        let _ = self.to.write_all(&self.held).and_then(|()| self.to.flush());
        self.held.clear();
    }
}

/// Says whether a line tells nothing of work done: empty but for colours, or `Finished ...`.
fn is_idle(line: &[u8]) -> bool {
    let text = without_escapes(&String::from_utf8_lossy(line));
    text.trim().is_empty() || text.trim().starts_with("Finished ")
}

/// The text without terminal escapes (`ESC [ ... letter`).
fn without_escapes(text: &str) -> String {
    let mut escaped = false;
    let keep = |letter: &char| {
        let hidden = escaped || *letter == '\x1b';
        escaped = hidden && !(escaped && letter.is_ascii_alphabetic());
        !hidden
    };
    text.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(text: &str) -> String {
        let in_chunks_of = |size| {
            let mut out = Vec::new();
            let mut hush = Hush { to: &mut out, held: Vec::new(), speaking: false };
            text.as_bytes().chunks(size).for_each(|bytes| hush.take(bytes));
            hush.end();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(in_chunks_of(1), in_chunks_of(4096), "it depends on where reads are cut");
        in_chunks_of(1)
    }

    #[test]
    fn a_fresh_build_is_silent() {
        assert_eq!(forwarded("    Finished `guest` profile [optimized] in 0.05s\n"), "");
        assert_eq!(forwarded("\x1b[1m\x1b[92m    Finished\x1b[0m `guest` in 0.05s\n"), "");
    }

    #[test]
    fn work_is_shown_with_everything_after_it() {
        let text = "   Compiling guest v0.1.0\n    Finished `guest` in 3s\n";
        assert_eq!(forwarded(text), text);
    }

    #[test]
    fn a_progress_bar_and_an_error_without_newline_are_shown() {
        assert_eq!(forwarded("    Building [=> ] 1/9\r"), "    Building [=> ] 1/9\r");
        assert_eq!(forwarded("error: no"), "error: no");
    }
}
