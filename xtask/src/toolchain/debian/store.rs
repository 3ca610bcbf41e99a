//! Where a private copy is kept. A copy is made in a folder beside its final one; a stamp is
//! written last, then the folder gets its name. So a copy under that name is whole.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Error;
use super::packages::Download;
use crate::output::{note, short};
use crate::toolchain::sysroot::lacks;
use crate::toolchain::{Sysroot, Version};

const COPY: &str = "guest-toolchain";
const PARTIAL: &str = "guest-toolchain.partial-";
const STAMP: &str = "packages";

/// The folder that private copies are kept in.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// A copy that is being made; whatever is there goes away again unless it is finished.
#[derive(Debug)]
pub(crate) struct Unfinished<'a> {
    store: &'a Store,
    path: PathBuf,
}

impl Store {
    /// The store in this cache folder.
    pub(crate) fn new(folder: PathBuf) -> Store {
        Store { folder }
    }

    /// The sysroot of the copy, if there is a whole one that runs; or else what is wrong with it.
    pub(crate) fn complete(&self, pinned: Version) -> Result<PathBuf, String> {
        let copy = self.folder.join(COPY);
        if !copy.join(STAMP).is_file() {
            return Err(format!("there is none in {}", short(&self.folder)));
        }
        let sysroot = Sysroot::new(copy.join("usr"));
        let missing = sysroot.missing();
        if !missing.is_empty() {
            return Err(lacks(sysroot.path(), &missing));
        }
        let version = sysroot.version()?;
        if version < pinned {
            return Err(format!("rustc {version} is older than {pinned}, which is asked for"));
        }
        Ok(sysroot.path().to_path_buf())
    }

    /// Keeps other xtasks from making a copy at the same time; the system lets go of the lock
    /// when this process ends, however it ends.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        fs::create_dir_all(&self.folder).map_err(Error::file("create", &self.folder))?;
        let path = self.folder.join(format!("{COPY}.lock"));
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                let path = short(&path);
                note(format_args!(
                    "guest toolchain: another xtask is fetching it (it holds {path}); waiting"
                ));
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::file("lock", &path)(source));
            }
        }
        file.lock().map_err(Error::file("lock", &path))?;
        Ok(file)
    }

    /// Begins a copy in a new folder, and removes what others left behind half done.
    pub(crate) fn begin(&self) -> Result<Unfinished<'_>, Error> {
        self.remove_partial();
        let path = self.folder.join(format!("{PARTIAL}{}", std::process::id()));
        let unfinished = Unfinished { store: self, path };
        for folder in [unfinished.work(), unfinished.tree()] {
            fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        }
        Ok(unfinished)
    }

    /// Removes what is left of copies that were cut off. Children of a killed xtask may be
    /// writing there still: what cannot be removed harms nobody and is tried again later.
    fn remove_partial(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|it| it.file_name().to_string_lossy().starts_with(PARTIAL)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Unfinished<'_> {
    /// The folder for downloads.
    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// The folder that packages are unpacked into.
    pub(crate) fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }

    /// The sysroot that comes of it.
    pub(crate) fn sysroot(&self) -> PathBuf {
        self.tree().join("usr")
    }

    /// Stamps the copy and gives it its name; returns its sysroot.
    pub(crate) fn finish(self, downloads: &[Download]) -> Result<PathBuf, Error> {
        let (tree, copy) = (self.tree(), self.store.folder.join(COPY));
        stamp(&tree, downloads).map_err(Error::file("write the stamp into", &tree))?;
        remove(&copy)?;
        fs::rename(&tree, &copy).map_err(Error::file("rename to", &copy))?;
        sync(&self.store.folder).map_err(Error::file("write", &self.store.folder))?;
        Ok(copy.join("usr"))
    }
}

impl Drop for Unfinished<'_> {
    /// Removes this copy's folder, and what could not be removed when it was begun.
    fn drop(&mut self) {
        self.store.remove_partial();
    }
}

fn stamp(tree: &Path, downloads: &[Download]) -> std::io::Result<()> {
    let mut file = File::create(tree.join(STAMP))?;
    for download in downloads {
        writeln!(file, "{}={}", download.package(), download.version())?;
    }
    file.sync_all()?;
    sync(tree)
}

/// Makes a folder's names outlast a power failure.
fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
