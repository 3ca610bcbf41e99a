//! Private copies of programs in the cache. A copy is made in a folder beside its final one. A stamp is written last,
//! then the folder gets its name. So a copy under that name is whole.

use std::fs::{self, File};
use std::path::PathBuf;

use super::output::short;
use super::{cache, files};
use crate::error::Error;

const STAMP: &str = "packages";

#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    name: &'static str,
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
    pub(crate) fn new(name: &'static str) -> Result<Store, Error> {
        Ok(Store { folder: cache::folder_or_error()?, name })
    }

    /// Returns the folder of a whole copy and its stamp.
    pub(crate) fn find(&self) -> Result<(PathBuf, String), String> {
        let copy = self.copy();
        let stamp = fs::read_to_string(copy.join(STAMP));
        stamp.map(|stamp| (copy, stamp)).map_err(|_| format!("there is none in {}", short(&self.folder)))
    }

    /// Keeps other xtasks from making a copy at the same time.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        files::create_folder(&self.folder)?;
        files::lock(&self.copy().with_extension("lock"), self.name)
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

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
