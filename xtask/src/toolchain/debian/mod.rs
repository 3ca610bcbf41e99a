//! A private copy of Debian's compiler: no root, and nothing on the system changes.
//!
//! apt reads its package lists into folders of our own and downloads the packages, checking them
//! as it always does; they are unpacked beside each other into the user's cache. Whoever kills
//! this at any moment leaves nothing that a later run would take for a finished copy.

mod apt;
mod error;
mod packages;
mod progress;
mod store;
mod unpack;

use std::path::{Path, PathBuf};

use apt::Apt;
pub(crate) use error::Error;
use packages::Download;
use progress::Progress;
pub(crate) use store::Store;

use super::{Sysroot, Version};

/// Makes the copy, unless another xtask has made it meanwhile, and returns its sysroot.
pub(crate) fn fetch(store: &Store, pinned: Version) -> Result<PathBuf, Error> {
    let _lock = store.lock()?;
    if let Ok(sysroot) = store.complete(pinned) {
        return Ok(sysroot);
    }
    let mut progress = Progress::start();
    let unfinished = store.begin()?;
    let downloads = download(&unfinished.work(), pinned, &mut progress)?;
    unpack::all(&unfinished.work(), &downloads, &unfinished.tree(), &mut progress)?;
    progress.step("checking it");
    let sysroot = Sysroot::new(unfinished.sysroot());
    sysroot.version().map_err(|words| Error::DoesNotRun { words })?;
    unfinished.finish(&downloads)
}

fn download(work: &Path, pinned: Version, progress: &mut Progress) -> Result<Vec<Download>, Error> {
    let apt = Apt::new(work)?;
    progress.step("reading the package lists");
    let update_words = apt.update()?;
    let names = apt.dependencies().map_err(|error| Error::unknown(update_words, &error))?;
    let chosen = packages::choose(&names, &apt::installed(&names)?);
    let downloads = apt.downloads(&chosen)?;
    packages::check_version(&downloads, pinned)?;
    progress.step("downloading");
    apt.download(&chosen, |bytes| progress.bytes(bytes, packages::total_size(&downloads)))?;
    Ok(downloads)
}
