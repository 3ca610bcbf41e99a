//! What the nested machine prints, shown as it comes.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Shows a file that grows. The machine writes into a file, not into our own output, so that a
/// reader who takes his time cannot hold it up.
#[derive(Debug)]
pub(crate) struct Follower<W> {
    path: PathBuf,
    from: File,
    to: W,
}

impl<W: Write> Follower<W> {
    /// Will show the file from its beginning.
    pub(crate) fn open(path: &Path, to: W) -> Result<Follower<W>, Error> {
        let from = File::open(path).map_err(Error::file("read", path))?;
        Ok(Follower { path: path.to_path_buf(), from, to })
    }

    /// Shows what has come since the last time.
    pub(crate) fn show(&mut self) -> Result<(), Error> {
        let shown = io::copy(&mut self.from, &mut self.to).and_then(|_| self.to.flush());
        shown.map_err(Error::file("show", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_is_shown_once() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut shown = Vec::new();
        let mut follower = Follower::open(file.path(), &mut shown).unwrap();
        for text in ["one\n", "", "two\n"] {
            file.write_all(text.as_bytes()).unwrap();
            follower.show().unwrap();
        }
        assert_eq!(shown, b"one\ntwo\n");
    }
}
