//! Why the documents could not be made.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::claims::Broken;
use crate::process::{self, indented};
use crate::status::Status;

/// Why the documents could not be made.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// A document says what is no longer so.
    #[error("the documents name what the source does not have:\n{}", listed(broken))]
    Untrue {
        /// Each such place.
        broken: Vec<Broken>,
    },

    /// There is no place for the tools.
    #[error("there is no cache folder: set HOME, XDG_CACHE_HOME or GUESTLAB_CACHE")]
    NoCacheFolder,

    /// There is no Python.
    #[error(
        "there is no python3 on PATH, which typesets the documents\n\
         install it with pip (on Debian, Ubuntu: apt install python3 python3-pip)"
    )]
    NoPython,

    /// Python has no package manager.
    #[error(
        "python3 has no pip, which fetches the typesetter; it says:\n{}\n\
         install it (on Debian, Ubuntu: apt install python3-pip)",
        indented(words)
    )]
    NoPip {
        /// Python's own words.
        words: String,
    },

    /// The tools could not be fetched.
    #[error("cannot fetch the typesetter; is there a network?\n{0}")]
    Fetch(#[source] process::Error),

    /// The tools are there, but do not run.
    #[error("the fetched typesetter does not run here\n{0}")]
    DoesNotRun(#[source] process::Error),

    /// A document is not what Typst understands.
    #[error("a document cannot be typeset\n{0}")]
    DoesNotTypeset(#[source] process::Error),

    /// A program did not start.
    #[error(transparent)]
    Process(#[from] process::Error),

    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: what was to be done with which file.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }

    /// The status that xtask ends with; a document that is wrong is bad input.
    pub(crate) fn status(&self) -> Status {
        match self {
            Error::Untrue { .. } | Error::DoesNotTypeset(_) => Status::BAD_INPUT,
            _ => Status::CANNOT_RUN,
        }
    }
}

fn listed(broken: &[Broken]) -> String {
    indented(&broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
