//! Files that people hand us, which may be anything.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
///
/// The system's own; or it is something else than a regular file, or larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Before it is opened: a pipe without a writer would keep us there.
    if !fs::metadata(path)?.is_file() {
        return Err(not_regular());
    }
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more.
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => {
            let message = format!("it has more than {} MiB", limit >> 20);
            Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
        }
        false => Ok(bytes),
    }
}

/// Reads a whole regular file of text, as [`read`] does.
///
/// # Errors
///
/// As [`read`]; or it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Creates a file, or empties one that is there and regular.
///
/// # Errors
///
/// The system's own; or there is something else of that name.
pub fn create(path: &Path) -> io::Result<File> {
    check_regular(path)?;
    File::create(path)
}

/// Whether a file can be written, without writing one: its folders are made where they are missing.
///
/// # Errors
///
/// As [`create`].
pub fn check_writable(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    check_regular(path)?;
    match path.exists() {
        true => File::options().write(true).open(path).map(drop),
        false => File::create_new(path).and_then(|_| fs::remove_file(path)),
    }
}

fn check_regular(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(not_regular()),
        _ => Ok(()),
    }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        fs::write(&path, "four").expect("written");
        assert_eq!(read(&path, 4).expect("small enough"), b"four");
        assert!(read(&path, 3).is_err() && read(folder.path(), 4).is_err());
        assert!(read(Path::new("/dev/zero"), 4).is_err() && create(Path::new("/dev/full")).is_err());
        fs::write(&path, b"\xFF").expect("written");
        assert!(read_text(&path, 4).is_err());
    }

    #[test]
    fn what_can_be_written_is_found_out_without_a_trace() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/x");
        check_writable(&path).expect("the folder is made");
        assert!(!path.exists() && path.parent().is_some_and(Path::exists));
        fs::write(&path, "kept").expect("written");
        check_writable(&path).expect("it is there");
        assert_eq!(fs::read(&path).expect("read"), b"kept");
        assert!(check_writable(&path.join("below")).is_err());
    }
}
