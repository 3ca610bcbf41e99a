//! The corpus under version control, which stays small.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Limits of a target's corpus, for files from the fuzzer: bytes, and files.
const SIZE: u64 = 8 << 10;
const FILES: usize = 40;

const HASH: usize = 40;

/// Replaces the fuzzer's files by files of another folder, some of each size, the smallest first, within the limits.
/// Files that people named stay. Returns the number of files.
pub(super) fn replace(corpus: &Path, by: &Path) -> Result<usize, Error> {
    for (path, _) in found(corpus)? {
        fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    }
    let (mut size, found) = (0, found(by)?);
    let step = found.len().div_ceil(FILES).max(1);
    for (path, len) in found.into_iter().step_by(step) {
        size += len;
        if size <= SIZE {
            let to = corpus.join(path.file_name().unwrap_or_default());
            fs::copy(&path, &to).map_err(Error::file("write", &to))?;
        }
    }
    Ok(files(corpus)?.len())
}

fn found(folder: &Path) -> Result<Vec<(PathBuf, u64)>, Error> {
    let is_hash = |path: &Path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.len() == HASH && name.iter().all(u8::is_ascii_hexdigit)
    };
    let mut found = files(folder)?;
    found.retain(|(path, _)| is_hash(path));
    found.sort_by_key(|(path, len)| (*len, path.clone()));
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>, Error> {
    let read = || -> std::io::Result<Vec<_>> {
        let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
        entries.into_iter().map(|entry| Ok((entry.path(), entry.metadata()?.len()))).collect()
    };
    read().map_err(Error::file("read", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_people_named_stay_and_small_ones_come() {
        let (corpus, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = |digit: &str| digit.repeat(HASH);
        fs::write(corpus.path().join("seed"), "1").unwrap();
        fs::write(corpus.path().join(name("a")), "2").unwrap();
        for (digit, len) in [("b", 5000), ("c", 3000), ("d", 1000)] {
            fs::write(new.path().join(name(digit)), vec![0; len]).unwrap();
        }
        assert_eq!(replace(corpus.path(), new.path()).unwrap(), 3);
        let there = |name: String| corpus.path().join(name).exists();
        assert!(there("seed".into()) && there(name("c")) && there(name("d")));
        assert!(!there(name("a")) && !there(name("b")));
    }
}
