//! The folder for downloads.

use std::{env, path::PathBuf};

use crate::error::Error;

/// Returns `GUESTLAB_CACHE`, or else `guestlab` in the user's cache. `LOCALAPPDATA` is a variable of Windows.
pub(crate) fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let named = env::var_os("GUESTLAB_CACHE").filter(|value| !value.is_empty());
    named
        .and_then(|named| std::path::absolute(named).ok())
        .or_else(|| Some(absolute("XDG_CACHE_HOME")?.join("guestlab")))
        .or_else(|| Some(absolute("LOCALAPPDATA")?.join("guestlab")))
        .or_else(|| Some(absolute("HOME")?.join(".cache/guestlab")))
}

pub(crate) fn folder_or_error() -> Result<PathBuf, Error> {
    let none = "there is no cache folder: set HOME, XDG_CACHE_HOME or GUESTLAB_CACHE";
    folder().ok_or_else(|| Error::cannot_run(none))
}
