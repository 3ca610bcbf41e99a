//! The workspace, as cargo describes it: its folders and its packages.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{base::process, cargo, error::Error};

const MANIFEST: &str = "Cargo.toml";

/// Guestlab's own workspace, or one with a user's guests.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    #[serde(skip)]
    pub(crate) images: PathBuf,
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; nothing for a normal dependency.
    #[serde(default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) features: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// `bin`, `lib`, `example` and so on.
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

/// A message of cargo about a part that it has built. Other messages lack these fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Artifact {
    pub(crate) manifest_path: PathBuf,
    pub(crate) target: Target,
    pub(crate) profile: Profile,
    pub(crate) filenames: Vec<PathBuf>,
    pub(crate) executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Profile {
    pub(crate) test: bool,
}

impl Artifact {
    pub(crate) fn parse(line: &str) -> Option<Artifact> {
        serde_json::from_str(line).ok()
    }
}

impl Workspace {
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
        Workspace::parse(&printed)
    }

    /// Reads what `cargo metadata` has printed.
    pub(crate) fn parse(printed: &str) -> Result<Workspace, Error> {
        let read: Result<Workspace, _> = serde_json::from_str(printed);
        let mut workspace = read.map_err(|error| {
            Error::bug(format_args!("xtask cannot read the output of `cargo metadata` ({error})"))
        })?;
        workspace.images = workspace.target.join("guests");
        Ok(workspace)
    }

    /// The folder of the images of guests' tests.
    pub(crate) fn test_images(&self) -> PathBuf {
        self.images.join("tests")
    }

    /// The folder of the measurements: programs, and saved results.
    pub(crate) fn bench(&self) -> PathBuf {
        self.target.join("bench")
    }
}

/// Returns Guestlab's own folder. Cargo names it when it runs xtask; without cargo it is the folder that xtask was
/// built from.
pub(crate) fn root() -> PathBuf {
    let named = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = named.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    own.parent().unwrap_or(&own).to_path_buf()
}
