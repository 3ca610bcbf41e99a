//! A clerk that is a part of this process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

/// A clerk and its file. Dropping it removes the file, unless the file already has its name.
pub(crate) struct Clerk {
    part: PathBuf,
    name: PathBuf,
    is_placed: bool,
}

impl Clerk {
    /// Makes a clerk for the file `part`, whose final name is `name`.
    ///
    /// # Errors
    ///
    /// None.
    #[expect(clippy::unnecessary_wraps, reason = "a helper process may not start")]
    pub(crate) fn spawn(part: &Path, name: &Path) -> io::Result<Self> {
        Ok(Self { part: part.into(), name: name.into(), is_placed: false })
    }

    /// Renames the file if no file has the name.
    pub(crate) fn keep(&mut self) {
        // A link refuses an existing name, which a renaming would replace.
        if fs::hard_link(&self.part, &self.name).is_ok() {
            let _ = fs::remove_file(&self.part);
            self.is_placed = true;
        }
    }

    /// Renames the file, and replaces a file of that name.
    ///
    /// # Errors
    ///
    /// The file could not be renamed. It stays.
    pub(crate) fn place(mut self) -> io::Result<()> {
        let is_placed = std::mem::replace(&mut self.is_placed, true);
        if is_placed { Ok(()) } else { fs::rename(&self.part, &self.name) }
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        // After a panic the file is kept, as it may be worth keeping.
        if !self.is_placed && !thread::panicking() {
            let _ = fs::remove_file(&self.part);
        }
    }
}
