//! Files that are replaced in one step.

use std::fs;
use std::path::Path;

use crate::error::Error;

/// Writes a file, instead of what had its name. A reader, or a write that fails, finds the old file or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    // A link stays one.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let mut new = path.file_name().unwrap_or_default().to_owned();
    // The process id keeps two xtasks at once from writing into one file.
    new.push(format!(".{}.part", std::process::id()));
    let new = folder.join(new);
    let replaced = fs::write(&new, content)
        .and_then(|()| fs::metadata(path).map_or(Ok(()), |old| fs::set_permissions(&new, old.permissions())))
        .and_then(|()| fs::rename(&new, path));
    replaced.inspect_err(|_| drop(fs::remove_file(&new))).map_err(Error::file("write", path))
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
