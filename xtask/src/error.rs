//! Everything that can end a command early, and the exit status that goes with it.

use thiserror::Error;

use crate::status::Status;
use crate::{bench, docs, fuzz, guests, host, nested, process, scaffold, toolchain, workspace};

/// Why a command ended early.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The workspace could not be read.
    #[error(transparent)]
    Workspace(#[from] workspace::Error),

    /// The host's binary could not be built or asked.
    #[error(transparent)]
    Host(#[from] host::Error),

    /// The guests could not be built.
    #[error(transparent)]
    Guests(#[from] guests::Error),

    /// A guest could not be made.
    #[error(transparent)]
    Scaffold(#[from] scaffold::Error),

    /// There is no toolchain that can build guests.
    #[error(transparent)]
    Toolchain(#[from] toolchain::Error),

    /// Something could not be measured.
    #[error(transparent)]
    Bench(#[from] bench::Error),

    /// The documents could not be made.
    #[error(transparent)]
    Docs(#[from] docs::Error),

    /// The nested machine could not be made or run.
    #[error(transparent)]
    Nested(#[from] nested::Error),

    /// An option of ours was not given as it must be.
    #[error("{0}")]
    Usage(&'static str),

    /// Nothing could be fuzzed.
    #[error(transparent)]
    Fuzz(#[from] fuzz::Error),

    /// A program could not be run.
    #[error(transparent)]
    Process(#[from] process::Error),
}

impl Error {
    /// The status that xtask ends with.
    pub(crate) fn status(&self) -> Status {
        match self {
            Error::Workspace(error) => error.status(),
            Error::Host(error) => error.status(),
            Error::Guests(error) => error.status(),
            Error::Scaffold(error) => error.status(),
            Error::Usage(_) => Status::BAD_INPUT,
            Error::Bench(error) => error.status(),
            Error::Docs(error) => error.status(),
            Error::Nested(error) => error.status(),
            Error::Fuzz(error) => error.status(),
            Error::Toolchain(_) | Error::Process(_) => Status::CANNOT_RUN,
        }
    }
}
