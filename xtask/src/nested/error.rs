//! Why tests could not be run in the nested machine.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::debian;
use crate::output::short;
use crate::process::{self, ending, indented};
use crate::status::Status;

/// Why tests could not be run in the nested machine.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// There is no QEMU.
    #[error(
        "there is no qemu-system-x86_64 on PATH for the nested machine, and a private copy cannot be made: {0}\n\
         install QEMU (on Debian, Ubuntu: apt install qemu-system-x86)"
    )]
    NoQemu(debian::Error),

    /// There is no Linux to run in it.
    #[error(
        "the nested machine's Linux (a kernel and a busybox of Debian's) cannot be fetched: {0}\n\
         it needs Debian's programs (apt, dpkg) and its archive; without them, run the tests on a \
         machine with hardware KVM: cargo xtask test"
    )]
    NoLinux(debian::Error),

    /// The kernel has no such module.
    #[error("{list} has no module `{name}`, which the nested machine needs", list = short(list))]
    NoModule {
        /// The module.
        name: String,
        /// The kernel's list of modules.
        list: PathBuf,
    },

    /// Cargo failed.
    #[error("the host's tests do not compile; cargo says why above")]
    DoesNotCompile,

    /// Cargo succeeded, but did not say where the programs are.
    #[error("cargo built no `guestlab` with its tests; please report this as a bug")]
    NoPrograms,

    /// A program needs a library that is not there.
    #[error("{program} needs the library {library}, which is not there", program = short(program))]
    NoLibrary {
        /// The program.
        program: PathBuf,
        /// The library's name.
        library: String,
    },

    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}", path = short(path))]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// It takes too long.
    #[error(
        "the nested machine was stopped: it did not come to its end in {minutes} minutes\n\
         fewer tests take less time: cargo xtask test --nested FILTER; its console says last:\n{}",
        indented(&ending(console))
    )]
    Late {
        /// How long it had.
        minutes: u64,
        /// What Linux printed.
        console: String,
    },

    /// It ended too early.
    #[error(
        "the nested machine ended (QEMU with status {status}) before all tests were run; its console says last:\n{}",
        indented(&ending(console))
    )]
    NoReport {
        /// QEMU's own.
        status: Status,
        /// What QEMU and Linux printed.
        console: String,
    },

    /// A program could not be run.
    #[error(transparent)]
    Process(#[from] process::Error),
}

impl Error {
    /// For `map_err`: what was to be done with which file.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }

    /// The status that xtask ends with.
    pub(crate) fn status(&self) -> Status {
        match self {
            Error::DoesNotCompile => Status::BAD_INPUT,
            Error::NoPrograms => Status::BUG,
            _ => Status::CANNOT_RUN,
        }
    }
}
