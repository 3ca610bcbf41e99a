//! Why nothing could be fuzzed.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::output::short;
use crate::status::Status;
use crate::{process, workspace};

/// Why nothing could be fuzzed.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The targets could not be listed.
    #[error(transparent)]
    Workspace(#[from] workspace::Error),

    /// There is no target of that name.
    #[error("there is no fuzz target `{name}`; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },

    /// There is no C++ compiler.
    #[error(
        "fuzzing needs a C++ compiler, for libFuzzer, and there is none on PATH\ninstall one (Debian: `apt-get install g++`), or name it in CXX"
    )]
    NoCompiler,

    /// Cargo failed.
    #[error(
        "the fuzz targets could not be built\ncargo says why above; they need the network once, a C++ compiler, and the pinned toolchain with its sanitizers"
    )]
    DoesNotBuild,

    /// The file to be repeated is not there.
    #[error("there is no file {}", short(file))]
    NoFile {
        /// The file.
        file: PathBuf,
    },

    /// A file of ours cannot be made, read or removed.
    #[error("{}: {source}", short(path))]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// A program could not be run.
    #[error(transparent)]
    Process(#[from] process::Error),
}

/// The error of a file.
pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::File { path: path.clone(), source }
}

impl Error {
    /// The status that xtask ends with.
    pub(crate) fn status(&self) -> Status {
        match self {
            Error::Workspace(error) => error.status(),
            Error::Unknown { .. } | Error::NoFile { .. } => Status::BAD_INPUT,
            Error::NoCompiler | Error::DoesNotBuild | Error::File { .. } | Error::Process(_) => {
                Status::CANNOT_RUN
            }
        }
    }
}
