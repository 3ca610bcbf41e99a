//! The workspace, as cargo describes it: where things are and which packages there are.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::process;
use crate::cargo;
use crate::error::Error;

/// The file that makes a folder a package, or the root of a workspace.
pub(crate) const MANIFEST: &str = "Cargo.toml";

/// What xtask needs to know of a workspace: Guestlab's own, or one whose guests are to be built.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, wherever environment or configuration put it.
    pub(crate) target: PathBuf,
    /// The folder of the finished guest images.
    pub(crate) images: PathBuf,
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
    /// `dev` or `build`; nothing for what the package itself stands on.
    #[serde(default)]
    pub(crate) kind: Option<String>,
    /// The features that it asks for.
    #[serde(default)]
    pub(crate) features: Vec<String>,
}

/// One thing that cargo can build of a package.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: String,
    /// `bin`, `lib`, `example` and so on.
    pub(crate) kind: Vec<String>,
    /// The file that it begins with.
    pub(crate) src_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

impl Workspace {
    /// Asks cargo about Guestlab's own workspace; it takes some hundredths of a second.
    pub(crate) fn load() -> Result<Workspace, Error> {
        Workspace::of(&root().join(MANIFEST))
    }

    /// Asks cargo about the workspace that this manifest, or the one in this folder, belongs to.
    pub(crate) fn of(manifest: &Path) -> Result<Workspace, Error> {
        let manifest = if manifest.is_dir() { manifest.join(MANIFEST) } else { manifest.to_path_buf() };
        let mut ask = cargo::for_host(Path::new("."));
        ask.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
        let printed = process::output(&mut ask)
            .map_err(|error| Error::bad_input(format_args!("cargo cannot read the workspace: {error}")))?;
        let metadata: Metadata = serde_json::from_str(&printed).map_err(|error| {
            Error::bug(format_args!("`cargo metadata` printed what xtask cannot read ({error})"))
        })?;
        let Metadata { packages, target_directory: target, workspace_root: root } = metadata;
        Ok(Workspace { root, images: target.join("guests"), target, packages })
    }

    /// Whether this is Guestlab's own.
    pub(crate) fn is_own(&self) -> bool {
        self.root == root()
    }

    /// The folder of the finished images of guests' tests.
    pub(crate) fn test_images(&self) -> PathBuf {
        self.images.join("tests")
    }

    /// The folder of the measurements: their programs, and results that were saved.
    pub(crate) fn bench(&self) -> PathBuf {
        self.target.join("bench")
    }

    /// The guests' own target directory: no lock is shared with the host's build.
    pub(crate) fn guest_build(&self) -> PathBuf {
        self.target.join("guests/build")
    }
}

/// Guestlab's own folder: xtask is a package in it. Cargo says where, when it runs xtask; one that is run
/// without cargo takes the folder that it was built from.
pub(crate) fn root() -> PathBuf {
    let said = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = said.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    own.parent().unwrap_or(&own).to_path_buf()
}
