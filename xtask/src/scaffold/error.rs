//! Why a guest could not be made.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::status::Status;

/// Why a guest could not be made.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// No guest can have this name.
    #[error("{name:?} cannot be the name of a guest: {why}{}", instead(better.as_deref()))]
    BadName {
        /// The name.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
        /// A name like it that would do.
        better: Option<String>,
    },

    /// Something else has this name.
    #[error("the name `{name}` is taken: {by}{}", instead(better.as_deref()))]
    Taken {
        /// The name.
        name: String,
        /// What has it.
        by: String,
        /// A name like it that would do.
        better: Option<String>,
    },

    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}; nothing was left behind that cargo takes for a guest", path = path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// The status that xtask ends with.
    pub(crate) fn status(&self) -> Status {
        match self {
            Error::BadName { .. } | Error::Taken { .. } => Status::BAD_INPUT,
            Error::File { .. } => Status::CANNOT_RUN,
        }
    }

    /// Makes the error of a file from the system's.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }
}

fn instead(better: Option<&str>) -> String {
    let name = better.unwrap_or("NAME");
    format!("\nnothing was written; choose another: cargo xtask new {name}")
}
