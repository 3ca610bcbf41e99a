//! The workspace, as cargo describes it: where things are and which packages there are.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::status::Status;
use crate::{cargo, process};

/// What xtask needs to know of the workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, wherever environment or configuration put it.
    pub(crate) target: PathBuf,
    /// The members.
    pub(crate) packages: Vec<Package>,
}

/// One member of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// What it depends on, of every kind.
    pub(crate) dependencies: Vec<Dependency>,
    /// What can be built of it.
    pub(crate) targets: Vec<Target>,
}

/// One dependency of a package.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The name of the package it depends on.
    pub(crate) name: String,
}

/// One thing that cargo can build of a package.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: String,
    /// `bin`, `lib`, `example` and so on.
    pub(crate) kind: Vec<String>,
}

/// Why the workspace could not be read.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// Cargo refuses the workspace.
    #[error("cargo cannot read this workspace: {0}")]
    Refused(#[from] process::Error),

    /// Cargo's answer is not what it promises.
    #[error("`cargo metadata` printed what xtask cannot read ({0}); please report this as a bug")]
    Unreadable(#[from] serde_json::Error),
}

impl Error {
    /// The status that xtask ends with.
    pub(crate) fn status(&self) -> Status {
        match self {
            Error::Refused(_) => Status::BAD_INPUT,
            Error::Unreadable(_) => Status::BUG,
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

impl Workspace {
    /// Asks cargo; it takes some hundredths of a second.
    pub(crate) fn load() -> Result<Workspace, Error> {
        Workspace::at(root())
    }

    /// The workspace whose root this folder is.
    pub(crate) fn at(root: PathBuf) -> Result<Workspace, Error> {
        let manifest = root.join("Cargo.toml");
        let mut ask = cargo::for_host(Path::new("."));
        ask.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
        let metadata: Metadata = serde_json::from_str(&process::output(&mut ask)?)?;
        Ok(Workspace { root, target: metadata.target_directory, packages: metadata.packages })
    }

    /// The folder of the finished guest images.
    pub(crate) fn images(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// The guests' own target directory: no lock is shared with the host's build.
    pub(crate) fn guest_build(&self) -> PathBuf {
        self.images().join("build")
    }
}

/// The folder that xtask was built from is in the workspace that it works on.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}
