//! The folder for what xtask fetches.

use std::env;
use std::path::PathBuf;

use crate::error::Error;

/// `GUESTLAB_CACHE`, or else `guestlab` in the user's cache.
pub(crate) fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let named = env::var_os("GUESTLAB_CACHE").filter(|value| !value.is_empty());
    named
        .and_then(|named| std::path::absolute(named).ok())
        .or_else(|| absolute("XDG_CACHE_HOME").map(|cache| cache.join("guestlab")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache/guestlab")))
}

/// The folder, which something cannot be fetched without.
pub(crate) fn folder_or_error() -> Result<PathBuf, Error> {
    folder().ok_or_else(|| {
        Error::cannot_run("there is no cache folder: set HOME, XDG_CACHE_HOME or GUESTLAB_CACHE")
    })
}
