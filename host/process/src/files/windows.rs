//! Files and paths of Windows.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, IsTerminal, Write},
    os::windows::io::AsHandle,
    path::{Path, PathBuf},
};

/// Changes nothing: no opening waits here.
pub(crate) fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// The identity of an existing file or folder: its full name. A hard link counts as another file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity(PathBuf);

impl Identity {
    /// Returns the identity of the file of this path.
    pub(crate) fn of(path: &Path, _metadata: &Metadata) -> Option<Self> {
        fs::canonicalize(path).ok().map(Self)
    }
}

/// Returns the files that the process has open from its beginning, each with a name for people.
pub(crate) fn of_process() -> Vec<(&'static str, PathBuf)> {
    std::env::current_exe().map(|path| ("this program", path)).into_iter().collect()
}

/// Changes nothing: a new file has the rights of its folder.
///
/// # Errors
///
/// None.
#[expect(clippy::unnecessary_wraps, reason = "other systems may refuse")]
pub(crate) fn be_like(_file: &File, _before: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Returns the path of these bytes. Bytes that are not UTF-8 are replaced.
pub fn path_of_bytes(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Returns a writer to standard output that makes one system call for each write. A console gets text and not bytes, which
/// it would take in its own encoding.
///
/// # Errors
///
/// Standard output is closed.
pub fn standard_output() -> io::Result<Box<dyn Write + Send>> {
    let output = io::stdout();
    if output.is_terminal() {
        return Ok(Box::new(output));
    }
    let file = output.as_handle().try_clone_to_owned()?;
    Ok(Box::new(File::from(file)))
}
