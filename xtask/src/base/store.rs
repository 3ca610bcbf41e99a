//! Private copies of programs and libraries in the cache. A copy is made in a folder beside its final one. A stamp is
//! written last, then the folder gets its name. So a copy under that name is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::output::short;
use super::{cache, files};
use crate::error::Error;

const STAMP: &str = "packages";

#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    name: String,
}

/// A copy in the making. It is removed unless it is finished.
#[derive(Debug)]
pub(crate) struct Unfinished<'a> {
    store: &'a Store,
    /// The folder for downloads.
    pub(crate) work: PathBuf,
    /// The folder of the copy's files.
    pub(crate) tree: PathBuf,
}

impl Store {
    pub(crate) fn new(name: &str) -> Result<Store, Error> {
        Ok(Store::in_folder(cache::folder_or_error()?, name))
    }

    pub(crate) fn in_folder(folder: PathBuf, name: &str) -> Store {
        Store { folder, name: name.into() }
    }

    /// Returns the folder of a whole copy and its stamp.
    pub(crate) fn find(&self) -> Result<(PathBuf, String), String> {
        let copy = self.copy();
        let stamp = fs::read_to_string(copy.join(STAMP));
        stamp.map(|stamp| (copy, stamp)).map_err(|_| format!("there is none in {}", short(&self.folder)))
    }

    /// Marks the copy as used now.
    pub(crate) fn mark_as_used(&self) {
        // Without write access it is an old one.
        let stamp = File::options().append(true).open(self.copy().join(STAMP));
        let _ = stamp.and_then(|stamp| stamp.set_modified(SystemTime::now()));
    }

    /// Keeps other xtasks from making a copy at the same time.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        files::create_folder(&self.folder)?;
        files::lock(&self.copy().with_extension("lock"), &self.name)
    }

    fn copy(&self) -> PathBuf {
        self.folder.join(self.name.replace(' ', "-"))
    }

    fn partial(&self) -> String {
        format!("{}.partial-", self.name.replace(' ', "-"))
    }

    /// Begins a copy in a new folder, and removes unfinished ones.
    pub(crate) fn begin(&self) -> Result<Unfinished<'_>, Error> {
        self.remove_partial();
        let path = self.folder.join(format!("{}{}", self.partial(), std::process::id()));
        let unfinished = Unfinished { store: self, work: path.join("work"), tree: path.join("tree") };
        files::create_folder(&unfinished.work)?;
        files::create_folder(&unfinished.tree)?;
        Ok(unfinished)
    }

    /// Removes unfinished copies. Children of a killed xtask may still write there: a later run tries again.
    fn remove_partial(&self) {
        let partial = self.partial();
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|it| it.file_name().to_string_lossy().starts_with(&partial)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Unfinished<'_> {
    /// Stamps the copy, gives it its name, and returns its folder.
    pub(crate) fn finish(self, stamp: &str) -> Result<PathBuf, Error> {
        let (tree, copy) = (&self.tree, self.store.copy());
        fs::write(tree.join(STAMP), stamp).map_err(Error::file("write the stamp into", tree))?;
        files::remove_folder(&copy)?;
        fs::rename(tree, &copy).map_err(Error::file("rename to", &copy))?;
        Ok(copy)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.store.remove_partial();
    }
}

/// Removes all copies in a folder except those that were used last, and all unfinished ones.
pub(crate) fn keep_last_used(folder: &Path, count: usize) {
    let folders = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut copies: Vec<_> = folders.filter(|path| path.is_dir()).map(|path| (used(&path), path)).collect();
    copies.sort_by(|a, b| b.cmp(a));
    for (_, path) in
        copies.iter().enumerate().filter(|(n, (used, _))| *n >= count || used.is_none()).map(|it| it.1)
    {
        let _ = fs::remove_dir_all(path);
    }
}

/// Returns the time of the last use of a whole copy.
fn used(copy: &Path) -> Option<SystemTime> {
    fs::metadata(copy.join(STAMP)).and_then(|stamp| stamp.modified()).ok()
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
