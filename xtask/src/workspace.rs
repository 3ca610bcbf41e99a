//! The workspace, as cargo describes it: its folders and its packages.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::process;
use crate::cargo;
use crate::error::Error;

/// The file that makes a folder a package, or the root of a workspace.
const MANIFEST: &str = "Cargo.toml";

/// Guestlab's own workspace, or one with a user's guests.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// The folder of the finished guest images.
    #[serde(skip)]
    pub(crate) images: PathBuf,
    /// The members.
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// A dependency of a package.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; nothing for a normal dependency.
    #[serde(default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) features: Vec<String>,
}

/// A part of a package that cargo can build.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// `bin`, `lib`, `example` and so on.
    pub(crate) kind: Vec<String>,
    /// The root file of its source.
    pub(crate) src_path: PathBuf,
}

/// A message of cargo about a part that it has built. Other messages lack these fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Artifact {
    pub(crate) manifest_path: PathBuf,
    pub(crate) target: Target,
    pub(crate) profile: Profile,
    pub(crate) executable: Option<PathBuf>,
}

/// The profile of an artifact.
#[derive(Debug, Deserialize)]
pub(crate) struct Profile {
    /// True for a program of tests.
    pub(crate) test: bool,
}

impl Artifact {
    /// Reads a line of cargo's `--message-format json`.
    pub(crate) fn parse(line: &str) -> Option<Artifact> {
        serde_json::from_str(line).ok()
    }
}

impl Workspace {
    /// Asks cargo about Guestlab's own workspace.
    pub(crate) fn load() -> Result<Workspace, Error> {
        Workspace::of(&root().join(MANIFEST))
    }

    /// Asks cargo about the workspace of this manifest, or of the manifest in this folder.
    pub(crate) fn of(manifest: &Path) -> Result<Workspace, Error> {
        let manifest = if manifest.is_dir() { manifest.join(MANIFEST) } else { manifest.to_path_buf() };
        let mut ask = cargo::for_host(Path::new("."));
        ask.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
        let printed = process::output(&mut ask)
            .map_err(|error| Error::bad_input(format_args!("cargo cannot read the workspace: {error}")))?;
        let read: Result<Workspace, _> = serde_json::from_str(&printed);
        let mut workspace = read.map_err(|error| {
            Error::bug(format_args!("xtask cannot read the output of `cargo metadata` ({error})"))
        })?;
        workspace.images = workspace.target.join("guests");
        Ok(workspace)
    }

    /// Returns true for Guestlab's own workspace.
    pub(crate) fn is_own(&self) -> bool {
        self.root == root()
    }

    /// The folder of the images of guests' tests.
    pub(crate) fn test_images(&self) -> PathBuf {
        self.images.join("tests")
    }

    /// The folder of the measurements: programs, and saved results.
    pub(crate) fn bench(&self) -> PathBuf {
        self.target.join("bench")
    }

    /// The guests' own target directory, which shares no lock with the host's build.
    pub(crate) fn guest_build(&self) -> PathBuf {
        self.target.join("guests/build")
    }
}

/// Returns Guestlab's own folder. Cargo names it when it runs xtask; without cargo it is the folder that xtask was
/// built from.
pub(crate) fn root() -> PathBuf {
    let named = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = named.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    own.parent().unwrap_or(&own).to_path_buf()
}
