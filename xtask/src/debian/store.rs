//! Where a private copy is kept. A copy is made in a folder beside its final one; a stamp is
//! written last, then the folder gets its name. So a copy under that name is whole.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::packages::Download;
use crate::error::Error;
use crate::output::{note, short};

const STAMP: &str = "packages";

/// The place of one kind of private copy.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    name: &'static str,
}

/// A copy that is being made; whatever is there goes away again unless it is finished.
#[derive(Debug)]
pub(crate) struct Unfinished<'a> {
    store: &'a Store,
    path: PathBuf,
}

impl Store {
    /// The place in this cache folder for copies of this name.
    pub(crate) fn new(folder: PathBuf, name: &'static str) -> Store {
        Store { folder, name }
    }

    /// The copy, if there is a whole one; or else says that there is none.
    pub(crate) fn stamped(&self) -> Result<PathBuf, String> {
        let copy = self.copy();
        if !copy.join(STAMP).is_file() {
            return Err(format!("there is none in {}", short(&self.folder)));
        }
        Ok(copy)
    }

    /// Keeps other xtasks from making a copy at the same time; the system lets go of the lock
    /// when this process ends, however it ends.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        fs::create_dir_all(&self.folder).map_err(Error::file("create", &self.folder))?;
        let path = self.copy().with_extension("lock");
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                let (name, path) = (self.name, short(&path));
                note(format_args!("{name}: another xtask is fetching it (it holds {path}); waiting"));
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::file("lock", &path)(source));
            }
        }
        file.lock().map_err(Error::file("lock", &path))?;
        Ok(file)
    }

    fn copy(&self) -> PathBuf {
        self.folder.join(self.name.replace(' ', "-"))
    }

    /// What the names of unfinished copies begin with.
    fn partial(&self) -> String {
        format!("{}.partial-", self.name.replace(' ', "-"))
    }

    /// Begins a copy in a new folder, and removes what others left behind half done.
    pub(crate) fn begin(&self) -> Result<Unfinished<'_>, Error> {
        self.remove_partial();
        let path = self.folder.join(format!("{}{}", self.partial(), std::process::id()));
        let unfinished = Unfinished { store: self, path };
        for folder in [unfinished.work(), unfinished.tree()] {
            fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        }
        Ok(unfinished)
    }

    /// Removes what is left of copies that were cut off. Children of a killed xtask may be
    /// writing there still: what cannot be removed harms nobody and is tried again later.
    fn remove_partial(&self) {
        let partial = self.partial();
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|it| it.file_name().to_string_lossy().starts_with(&partial)) {
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

    /// Stamps the copy and gives it its name; returns its folder.
    pub(crate) fn finish(self, downloads: &[Download]) -> Result<PathBuf, Error> {
        let (tree, copy) = (self.tree(), self.store.copy());
        stamp(&tree, downloads).map_err(Error::file("write the stamp into", &tree))?;
        remove(&copy)?;
        fs::rename(&tree, &copy).map_err(Error::file("rename to", &copy))?;
        sync(&self.store.folder).map_err(Error::file("write", &self.store.folder))?;
        Ok(copy)
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
