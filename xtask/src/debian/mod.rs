//! Private copies of Debian's packages: no root, and nothing on the system changes.
//!
//! apt reads its package lists into folders of our own and downloads the packages, checking them
//! as it always does; they are unpacked beside each other into the user's cache. Whoever kills
//! this at any moment leaves nothing that a later run would take for a finished copy.
//!
//! What a copy is made of, and when it is whole, is a [`Recipe`]'s to say.

mod apt;
mod store;

use std::path::{Path, PathBuf};

pub(crate) use apt::{Apt, Download, installed, is_shared_library};
use store::{Progress, Store};

use crate::base::cache;
use crate::base::process::{self, indented};
use crate::error::Error;

/// The programs that a copy is made with.
const PROGRAMS: [&str; 5] = ["apt-get", "apt-cache", "dpkg-deb", "dpkg-query", "tar"];

/// What tar leaves out of a package that is otherwise taken as it is.
pub(crate) const WITHOUT_DOCUMENTATION: [&str; 3] =
    ["--exclude=./usr/share/doc", "--exclude=./usr/share/man", "--exclude=./usr/share/lintian"];

/// One kind of private copy.
pub(crate) trait Recipe {
    /// What people call it; its folder in the cache is named after it.
    fn name(&self) -> &'static str;

    /// The packages that it is made of.
    fn choose(&self, apt: &Apt) -> Result<Vec<String>, Error>;

    /// Refuses before the download what would be of no use; the words say why.
    fn admit(&self, _downloads: &[Download]) -> Result<(), String> {
        Ok(())
    }

    /// tar's arguments that select what is needed of a package.
    fn selection(&self, _package: &str) -> &'static [&'static str] {
        &WITHOUT_DOCUMENTATION
    }

    /// Does what is to be done once with the unpacked tree.
    fn complete(&self, _tree: &Path) -> Result<(), Error> {
        Ok(())
    }

    /// Says what keeps a copy from being used.
    fn check(&self, copy: &Path) -> Result<(), String>;
}

/// Finds a whole copy that works, or makes one.
pub(crate) fn obtain(recipe: &impl Recipe) -> Result<PathBuf, Error> {
    if let Ok(copy) = find(recipe) {
        return Ok(copy);
    }
    can_fetch().map_err(Error::cannot_run)?;
    fetch(recipe)
}

/// Finds a whole copy that works; or else says why there is none.
pub(crate) fn find(recipe: &impl Recipe) -> Result<PathBuf, String> {
    find_in(&store(recipe).map_err(|error| error.to_string())?, recipe)
}

/// Makes the copy, unless another xtask has made it meanwhile, and returns its folder.
pub(crate) fn fetch(recipe: &impl Recipe) -> Result<PathBuf, Error> {
    let store = store(recipe)?;
    let _lock = store.lock()?;
    if let Ok(copy) = find_in(&store, recipe) {
        return Ok(copy);
    }
    let mut progress = Progress::start(recipe.name());
    let unfinished = store.begin()?;
    let downloads = download(recipe, &unfinished.work(), &mut progress)?;
    progress.step("unpacking");
    for (index, download) in downloads.iter().enumerate() {
        progress.item(index + 1, downloads.len(), download.package());
        let package = unfinished.work().join(&download.file);
        store::unpack(&package, recipe.selection(download.package()), &unfinished.tree())?;
    }
    progress.step("checking it");
    recipe.complete(&unfinished.tree())?;
    recipe.check(&unfinished.tree()).map_err(does_not_work)?;
    unfinished.finish(&downloads)
}

/// The error of a copy that is there but is of no use, with its program's own words or the loader's.
pub(crate) fn does_not_work(words: impl std::fmt::Display) -> Error {
    Error::cannot_run(format_args!("the copy does not work here:\n{}", indented(&words.to_string())))
}

fn store(recipe: &impl Recipe) -> Result<Store, Error> {
    Ok(Store::new(cache::folder_or_error()?, recipe.name()))
}

fn find_in(store: &Store, recipe: &impl Recipe) -> Result<PathBuf, String> {
    let copy = store.stamped()?;
    recipe.check(&copy)?;
    Ok(copy)
}

/// Says which programs a copy cannot be made without are missing here.
pub(crate) fn can_fetch() -> Result<(), String> {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|it| process::on_path(it).is_none()).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("not on PATH: {}", missing.join(", "))) }
}

/// Does all of [`fetch`] that can fail for want of a network, a package or a folder, short of the
/// download itself, whose size in bytes it returns; leaves nothing behind.
pub(crate) fn rehearse(recipe: &impl Recipe) -> Result<u64, Error> {
    let store = store(recipe)?;
    let _lock = store.lock()?;
    let unfinished = store.begin()?;
    let (_, downloads) = look_up(recipe, &Apt::new(&unfinished.work())?)?;
    Ok(apt::total_size(&downloads))
}

/// The packages that a copy needs, and what their download consists of.
fn look_up(recipe: &impl Recipe, apt: &Apt) -> Result<(Vec<String>, Vec<Download>), Error> {
    let update_words = apt.update()?;
    let chosen = recipe.choose(apt).map_err(|error| {
        // The reason is often in what the update said before.
        let words = format!("{}\n{error}", update_words.trim());
        Error::cannot_run(format_args!(
            "apt knows no such packages; is there a network? It says:\n{}",
            indented(words.trim_start())
        ))
    })?;
    let downloads = apt.downloads(&chosen)?;
    recipe.admit(&downloads).map_err(Error::cannot_run)?;
    Ok((chosen, downloads))
}

fn download(recipe: &impl Recipe, work: &Path, progress: &mut Progress) -> Result<Vec<Download>, Error> {
    let apt = Apt::new(work)?;
    progress.step("reading the package lists");
    let (chosen, downloads) = look_up(recipe, &apt)?;
    progress.step("downloading");
    apt.download(&chosen, |bytes| progress.bytes(bytes, apt::total_size(&downloads)))?;
    Ok(downloads)
}
