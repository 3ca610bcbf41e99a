//! Why a private copy could not be made.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::process::{self, indented};

/// Why a private copy could not be made.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// There is no place for it.
    #[error("there is no cache folder: set HOME, XDG_CACHE_HOME or GUESTLAB_CACHE")]
    NoCacheFolder,

    /// A file of the copy could not be made.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// apt, dpkg or tar failed.
    #[error(transparent)]
    Process(#[from] process::Error),

    /// apt does not know the packages, most often because there is no network.
    #[error("apt knows no such packages; is there a network? It says:\n{}", indented(words))]
    Unknown {
        /// apt's own words.
        words: String,
    },

    /// What the archive has is of no use.
    #[error("{words}")]
    Refused {
        /// What it has, and what is asked for.
        words: String,
    },

    /// The copy is there, but does not work.
    #[error("the copy does not work here:\n{}", indented(words))]
    DoesNotWork {
        /// The copied program's own words, or the loader's.
        words: String,
    },
}

impl Error {
    /// For `map_err`: what was to be done with which file.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }

    /// apt does not know the packages: the reason is often in what the update said before.
    pub(crate) fn unknown(update_words: String, error: &Error) -> Error {
        Error::Unknown { words: format!("{}\n{error}", update_words.trim()).trim_start().to_owned() }
    }
}
