//! Why guests could not be built.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::Mode;
use crate::process;
use crate::status::Status;

/// Why guests could not be built.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// Nobody knows this guest.
    #[error("there is no guest `{name}`{}\nguests here: {}", meant(nearest.as_deref()), known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
        /// All names there are.
        known: Vec<String>,
    },

    /// A workspace elsewhere has no guest.
    #[error("there is no guest in {folder}: a guest is a package with a binary that depends on guest-rt", folder = folder.display())]
    NoGuests {
        /// The workspace's folder.
        folder: PathBuf,
    },

    /// guest-rt has no boot path into this mode.
    #[error("guests cannot be built for `{}` mode yet; modes that work: {}", mode.name(), written())]
    ModeNotWritten {
        /// The mode that was asked for.
        mode: Mode,
    },

    /// Cargo failed.
    #[error("the guests do not compile for `{}` mode; cargo says why above", mode.name())]
    DoNotCompile {
        /// The mode they were built for.
        mode: Mode,
    },

    /// Cargo succeeded, but did not say where the image is.
    #[error("cargo built no image for the guest `{name}`; please report this as a bug")]
    NoImage {
        /// The guest's name.
        name: String,
    },

    /// What cargo built is no ELF file that we can read.
    #[error("the image {path} is no readable ELF file: {reason}; does its target's JSON file fit?", path = path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// Cargo did not start.
    #[error(transparent)]
    Process(#[from] process::Error),
}

impl Error {
    /// The status that xtask ends with; what does not compile is bad input.
    pub(crate) fn status(&self) -> Status {
        match self {
            Error::Unknown { .. }
            | Error::NoGuests { .. }
            | Error::ModeNotWritten { .. }
            | Error::DoNotCompile { .. }
            | Error::NotElf { .. } => Status::BAD_INPUT,
            Error::NoImage { .. } => Status::BUG,
            Error::File { .. } | Error::Process(_) => Status::CANNOT_RUN,
        }
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

fn written() -> String {
    Mode::WRITTEN.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(", ")
}
