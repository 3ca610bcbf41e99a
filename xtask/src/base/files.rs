//! Files and folders.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::output::{note, short};
use crate::error::Error;

/// Writes a file in one step: a reader finds the old file or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    // A link stays a link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.into());
    create_folder(path.parent().unwrap_or(path))?;
    let mut new = path.file_name().unwrap_or_default().to_owned();
    // The process id keeps two xtasks apart.
    new.push(format!(".{}.part", std::process::id()));
    let new = path.with_file_name(new);
    let replaced = fs::write(&new, content)
        .and_then(|()| fs::metadata(path).map_or(Ok(()), |old| fs::set_permissions(&new, old.permissions())))
        .and_then(|()| fs::rename(&new, path));
    replaced.inspect_err(|_| drop(fs::remove_file(&new))).map_err(Error::file("write", path))
}

pub(crate) fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(Error::file("create", path))
}

pub(crate) fn create_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::file("create", path))
}

/// Removes a folder, if it is there, with everything in it.
pub(crate) fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes a path absolute, without links if it exists.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).map_err(Error::file("find", path))
}

/// Adds up the sizes of the files in a folder, in bytes.
pub(crate) fn size(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.try_fold(0, |size, entry| {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        Ok(size + if is_folder { self::size(&entry.path())? } else { entry.metadata()?.len() })
    })
}

/// Locks a file, and says so where another xtask holds the lock. The system unlocks it when this process ends.
pub(crate) fn lock(path: &Path, name: &str) -> Result<File, Error> {
    let file = create(path)?;
    if file.try_lock().is_err() {
        note(format_args!("{name}: another xtask has locked {}; waiting", short(path)));
        file.lock().map_err(Error::file("lock", path))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_or_stays_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/x");
        replace(&path, b"one").unwrap();
        std::os::unix::fs::symlink("new/x", folder.path().join("link")).unwrap();
        replace(&folder.path().join("link"), b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(fs::symlink_metadata(folder.path().join("link")).unwrap().is_symlink());
        assert!(replace(&folder.path().join("new"), b"three").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }
}
