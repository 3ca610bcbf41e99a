//! Why something could not be measured.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::output::short;
use crate::status::Status;
use crate::{guests, host, process, toolchain};

/// Why something could not be measured.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// There is no C compiler.
    #[error(
        "there is no gcc on PATH, which compiles the C baseline that everything is measured beside\n\
         install it (on Debian, Ubuntu: apt install gcc)"
    )]
    NoGcc,

    /// The filter names nothing.
    #[error("there is no measurement of that name; there are: {}", names.join(", "))]
    NothingOfThatName {
        /// The names that there are.
        names: Vec<&'static str>,
    },

    /// A name of saved results is no file name.
    #[error(
        "`{name}` is no name for results: it takes letters, digits, `-`, `_` and `.`, and no `.` at the front"
    )]
    BadName {
        /// The name.
        name: String,
    },

    /// There are no results of that name.
    #[error("there are no results {path}: {source}\nmake them with `cargo xtask bench --save NAME`", path = short(path))]
    NoResults {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// A file of results is none.
    #[error("{path} holds no results of this version of the measurements: {source}", path = short(path))]
    BadResults {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },

    /// A measurement's program printed something else than it should.
    #[error("`{command}` printed no numbers where `{missing}` was expected; please report this as a bug")]
    Unreadable {
        /// The command line.
        command: String,
        /// What was looked for.
        missing: String,
    },

    /// A file could not be written, or a folder made or removed.
    #[error("cannot {action} {path}: {source}", path = short(path))]
    File {
        /// What was to be done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// The host does not compile.
    #[error("the measuring program does not compile; cargo says why above")]
    DoesNotCompile,

    /// Guests could not be built.
    #[error(transparent)]
    Guests(#[from] guests::Error),

    /// There is no toolchain for guests.
    #[error(transparent)]
    Toolchain(#[from] toolchain::Error),

    /// The host could not be built.
    #[error(transparent)]
    Host(#[from] host::Error),

    /// A program could not be run, or failed.
    #[error(transparent)]
    Process(#[from] process::Error),
}

impl Error {
    /// The status that xtask ends with.
    pub(crate) fn status(&self) -> Status {
        match self {
            Error::NothingOfThatName { .. }
            | Error::BadName { .. }
            | Error::NoResults { .. }
            | Error::BadResults { .. }
            | Error::DoesNotCompile => Status::BAD_INPUT,
            Error::Unreadable { .. } => Status::BUG,
            Error::Guests(error) => error.status(),
            Error::Host(error) => error.status(),
            Error::NoGcc | Error::File { .. } | Error::Toolchain(_) | Error::Process(_) => Status::CANNOT_RUN,
        }
    }
}
