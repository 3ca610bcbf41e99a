//! Shared code of the integration tests: packages outside of Guestlab's workspace, and xtask itself.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Guestlab's own folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root")
}

/// A workspace of guests outside of Guestlab's, the same folder in every run of the tests.
pub(crate) fn workspace(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    write(&folder.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"*/src/..\"]\n");
    // With the versions that are known here nothing need be asked of a registry.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    share_builds(&folder.join("target"));
    folder
}

/// Makes a workspace with this target folder build its guests where Guestlab builds its own, and thus find the compiled
/// libraries there. Cargo tells guests of different workspaces apart; their images go to the workspace's own folder.
pub(crate) fn share_builds(target: &Path) {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests").join("build");
    fs::create_dir_all(&own).expect("a folder");
    fs::create_dir_all(target.join("guests")).expect("a folder");
    let link = target.join("guests/build");
    if !link.exists() {
        symlink(own, link).expect("a link");
    }
}

/// Puts a guest into a workspace.
pub(crate) fn guest(workspace: &Path, name: &str, source: &str) {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [[bin]]\nname = \"{name}\"\ntest = false\nbench = false\n\n\
         [dependencies]\nguest-rt = {{ path = \"{}\" }}\n",
        root().join("guest-rt").display()
    );
    write(&workspace.join(name).join("Cargo.toml"), &manifest);
    write(&workspace.join(name).join("src/main.rs"), source);
}

/// Writes a file, and the folders that it is in; what is there already is not touched.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).expect("written");
    }
}

/// Runs `cargo xtask ARGUMENTS...` in a folder. The target folder is the workspace's own, whatever the
/// environment says.
pub(crate) fn xtask(folder: &Path, arguments: &[&str]) -> Output {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.args(arguments).current_dir(folder).stdin(Stdio::null()).env_remove("CARGO_TARGET_DIR");
    xtask.output().expect("xtask runs")
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns what `cargo metadata` prints about Guestlab's workspace with these arguments.
pub(crate) fn metadata(arguments: &[&str]) -> serde_json::Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1"]).args(arguments).current_dir(root());
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo runs");
    serde_json::from_slice(&output.stdout).expect("metadata")
}

/// Returns the elements of an array; none where there is none.
pub(crate) fn elements(value: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    value.as_array().into_iter().flatten()
}

/// Returns the text of a field.
pub(crate) fn field<'a>(value: &'a serde_json::Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
