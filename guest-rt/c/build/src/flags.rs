//! The compiler's flags for a guest: those of its CPU mode, of its optimization, and the names of folders in images.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::environment::{runtime, variable};

const ALL: &str = include_str!("../../flags/all");
const REAL: &str = include_str!("../../flags/real");
const PROTECTED: &str = include_str!("../../flags/protected");
const LONG: &str = include_str!("../../flags/long");

pub(crate) struct Flags {
    /// The folder in which the compiler runs: paths in images are relative to it.
    pub(crate) root: PathBuf,
    pub(crate) words: Vec<String>,
}

/// Returns the flags of the build that this script belongs to, and then `more`.
pub(crate) fn of_this_build(more: &[&str]) -> Flags {
    let root = workspace_root(variable("CARGO_MANIFEST_DIR").as_ref());
    let include = runtime().join("include").display().to_string();
    let mode = mode(&variable("TARGET"));
    let own = [ALL, mode].into_iter().flat_map(words).map(String::from);
    let of_build = [optimization(mode, &variable("OPT_LEVEL")), "-isystem".into(), include];
    let words = own.chain(of_build).chain(renamed(&root)).chain(more.iter().map(|&flag| flag.into()));
    Flags { words: words.collect(), root }
}

/// The flag for a level of optimization. Without any, LLVM has wrong calls in 16-bit code (see the decision about its fast
/// instruction selection); `-Og` keeps variables for a debugger, too.
fn optimization(mode: &str, level: &str) -> String {
    let level = if mode == REAL && level == "0" { "g" } else { level };
    format!("-O{level}")
}

/// Gives folders of this machine other names in images, like cargo's `trim-paths`: an image is the same wherever it is
/// built. Paths of the workspace begin in its folder.
fn renamed(root: &Path) -> Vec<String> {
    let rename = |folder: &Path, name: &str| format!("-ffile-prefix-map={}={name}", folder.display());
    let mut flags = vec![rename(root, ".")];
    if !runtime().starts_with(root) {
        flags.push(rename(runtime(), concat!("guest-rt-", env!("CARGO_PKG_VERSION"))));
    }
    flags
}

/// Finds the workspace of a package: the folder whose manifest says that it is one, or the package's own.
fn workspace_root(package: &Path) -> PathBuf {
    let is_root = |folder: &&Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.starts_with("[workspace]") || line.starts_with("[workspace."))
    };
    package.ancestors().find(is_root).unwrap_or(package).into()
}

/// The flags of a target, by its name in `guest-rt/targets`.
fn mode(target: &str) -> &'static str {
    match target {
        target if target.ends_with("code16") => REAL,
        target if target.starts_with("x86_64") => LONG,
        _ => PROTECTED,
    }
}

/// The words of a file with a flag on each line, and comments.
fn words(file: &str) -> impl Iterator<Item = &str> {
    file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_its_flags() {
        for (target, width) in [
            ("i386-guestlab-none-code16", "-m16"),
            ("i386-guestlab-none", "-m32"),
            ("x86_64-guestlab-none", "-m64"),
        ] {
            assert!(words(mode(target)).any(|word| word == width), "{target}");
        }
    }

    #[test]
    fn the_workspace_of_a_package_is_the_nearest_folder_that_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("labs/demo");
        fs::create_dir_all(&package).unwrap();
        assert_eq!(workspace_root(&package), package);
        fs::write(package.join("Cargo.toml"), "[package]\nversion.workspace = true\n").unwrap();
        fs::write(folder.path().join("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
        assert_eq!(workspace_root(&package), folder.path());
        let renamed = renamed(folder.path());
        assert_eq!(renamed[0], format!("-ffile-prefix-map={}=.", folder.path().display()));
        assert!(
            renamed[1].ends_with(concat!("guest-rt=guest-rt-", env!("CARGO_PKG_VERSION"))),
            "{renamed:?}"
        );
        assert_eq!(super::renamed(runtime()).len(), 1);
    }

    #[test]
    fn code_for_real_mode_is_always_optimized() {
        let flags = [(REAL, "0"), (REAL, "2"), (LONG, "0")].map(|(mode, level)| optimization(mode, level));
        assert_eq!(flags, ["-Og", "-O2", "-O0"]);
    }

    #[test]
    fn comments_are_no_flags() {
        assert!(words(ALL).all(|word| word.starts_with('-')));
    }
}
