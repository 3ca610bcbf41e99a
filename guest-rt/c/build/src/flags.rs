//! The compiler's flags for a guest: those of its CPU mode, of its optimization, and the names of folders in images.

use std::path::PathBuf;

use crate::environment::{in_runtime, variable};

const ALL: &str = include_str!("../../flags/all");
const REAL: &str = include_str!("../../flags/real");
const PROTECTED: &str = include_str!("../../flags/protected");
const LONG: &str = include_str!("../../flags/long");

/// The beginning of a flag of rustc that gives a folder another name in images.
const RENAME: &str = "--remap-path-prefix=";

pub(crate) struct Flags {
    /// The folder in which the compiler runs: paths in images are relative to it.
    pub(crate) root: PathBuf,
    pub(crate) words: Vec<String>,
}

/// Returns the flags of the build that this script belongs to, and then `more`.
pub(crate) fn of_this_build(more: &[&str]) -> Flags {
    let rustflags = variable("CARGO_ENCODED_RUSTFLAGS");
    let renamed: Vec<&str> = rustflags.split('\x1f').filter_map(|flag| flag.strip_prefix(RENAME)).collect();
    let root = renamed.iter().find_map(|renamed| renamed.strip_suffix("=."));
    let own = [ALL, mode(&variable("TARGET"))].into_iter().flat_map(words).map(String::from);
    let of_build = [
        format!("-O{}", variable("OPT_LEVEL")),
        "-isystem".into(),
        in_runtime("include").display().to_string(),
    ];
    let renamed = renamed.iter().map(|renamed| format!("-ffile-prefix-map={renamed}"));
    Flags {
        root: root.map_or_else(|| variable("CARGO_MANIFEST_DIR").into(), PathBuf::from),
        words: own.chain(of_build).chain(renamed).chain(more.iter().map(|&flag| flag.into())).collect(),
    }
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
    fn comments_are_no_flags() {
        assert!(words(ALL).all(|word| word.starts_with('-')));
    }
}
