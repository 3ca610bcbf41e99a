//! Reading of files from untrusted sources, and the parts of files and paths that differ between systems.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    fs::File,
    io::{self, Read, Take},
    path::Path,
};

#[cfg(unix)]
pub(crate) use unix::{Identity, be_like, of_process, without_waiting};
#[cfg(windows)]
pub(crate) use windows::{Identity, be_like, of_process, without_waiting};

#[cfg(unix)]
pub use unix::{path_of_bytes, standard_output};
#[cfg(windows)]
pub use windows::{path_of_bytes, standard_output};

/// Opens a regular file of at most `limit` bytes for reading. Returns its size, too. Does not read a larger file,
/// even if it has holes.
///
/// # Errors
///
/// The file cannot be opened, is larger, or is not a regular file.
pub fn open(path: &Path, limit: u64) -> io::Result<(Take<File>, u64)> {
    let file = without_waiting(File::options().read(true)).open(path)?;
    let metadata = file.metadata()?;
    match metadata.len() {
        _ if !metadata.is_file() => Err(not_regular()),
        len if len > limit => Err(too_large(limit)),
        // One more byte than allowed shows that the file has grown.
        len => Ok((file.take(limit.saturating_add(1)), len)),
    }
}

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
///
/// As [`open`].
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (mut file, len) = open(path, limit)?;
    let mut bytes = Vec::new();
    // A vector that grows step by step would take up to twice as much memory.
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(too_large(limit)),
        false => Ok(bytes),
    }
}

fn too_large(limit: u64) -> io::Error {
    let message = format!("it has more than {} MiB", limit >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

/// Returns the error for a path that is not a regular file.
pub(crate) fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

#[cfg(test)]
mod tests {
    use std::{ffi::CString, fs, os::unix::ffi::OsStrExt};

    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        fs::write(&path, "four").expect("written");
        assert_eq!(read(&path, 4).expect("small enough"), b"four");
        assert!(read(&path, 3).is_err() && read(folder.path(), 4).is_err());
        assert!(read(Path::new("/dev/zero"), 4).is_err());
    }

    #[test]
    fn nothing_is_read_of_a_file_of_holes_that_is_too_large() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a file of holes");
        assert_eq!(read(&path, 1 << 30).expect_err("a tebibyte").to_string(), "it has more than 1024 MiB");
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let name = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
        // SAFETY: the path ends with a NUL.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(open(&path, 4).is_err());
    }
}
